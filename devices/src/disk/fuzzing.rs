//! Fuzzes images, which are in memory.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::{Path, PathBuf},
};

use rustix::fs::{MemfdFlags, memfd_create};
use vm_memory::VolatileSlice;

use super::{
    Disk, SECTOR_SIZE,
    format::Format,
    guard::{Header, facts::Qcow2Facts},
    image,
    options::{DiskOptions, OpenOptions, Overlay},
};

/// The most bytes of a disk that are read or written at a time.
const MOST: u64 = 32 << 10;

/// The largest length of a file, as a power of two.
const MAX_LEN_BITS: u8 = 25;

/// The header of a qcow2 image.
pub fn qcow2_header(data: &[u8]) {
    let read = |file: &File, len| {
        let header =
            [false, true].map(|writing| Header::read(file, len, writing).expect("memory is readable"));
        (header, Qcow2Facts::read(file, len).expect("memory is readable"))
    };
    let image = Image::new(data);
    let ([reading, writing], facts) = read(&image.file, data.len() as u64);
    if let Ok(header) = &reading {
        let facts = facts.expect("a header that can be used has facts");
        let size = facts.size - facts.size % SECTOR_SIZE;
        assert_eq!((size, facts.cluster_size), (header.size, Some(header.layout.cluster_size())));
        let only_read = header.has_bitmaps || !header.flaws.is_empty() || !header.view.is_plain();
        assert!(writing.is_ok() || only_read);
    } else {
        assert!(writing.is_err());
    }
}

/// A qcow2 image that is read and written, or read under an overlay. The last byte decides which, and the least length of its file.
pub fn qcow2_image(data: &[u8]) {
    let Some((&how, bytes)) = data.split_last() else { return };
    let (read_only, overlay) = (how & 0x20 != 0, how & 0x40 != 0);
    let image = Image::new(bytes);
    let len = (1 << (how & 0x1f).min(MAX_LEN_BITS)).max(bytes.len() as u64);
    image.file.set_len(len).expect("memory for the file");
    let options = OpenOptions {
        disk: DiskOptions { read_only, direct: false },
        format: Some(Format::Qcow2),
        overlay: overlay.then_some(Overlay::Temp),
        ..OpenOptions::default()
    };
    let mut numbers = Numbers::new(data);
    for _ in 0..2 {
        let Ok(opened) = image::open(&image.path(), &options) else { break };
        let disk = opened.disk;
        read(&*disk, &mut numbers);
        if !read_only {
            // The image's own tables may put several clusters in one place, but an overlay's tables don't.
            write(&*disk, &mut numbers, overlay);
        }
    }
    if read_only || overlay {
        assert_eq!(image.file.metadata().expect("it is open").len(), len);
        let mut bytes_now = vec![0; bytes.len()];
        image.file.read_exact_at(&mut bytes_now, 0).expect("it is as long");
        assert!(bytes_now == bytes, "it was only to be read");
    }
}

/// A file in memory.
pub(super) struct Image {
    file: File,
}

impl Image {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let file = memfd_create("image", MemfdFlags::CLOEXEC).expect("a file in memory");
        let mut file = File::from(file);
        file.write_all(bytes).expect("memory for the file");
        Self { file }
    }

    /// The path by which it can be opened while this exists.
    pub(super) fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.file.as_raw_fd().to_string())
    }
}

/// Pseudorandom numbers that depend only on the input.
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let hash = bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |hash: u64, chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3).rotate_left(29)
        });
        Self(hash | 1)
    }

    /// A number below `end`, which is more than 0.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// The start and the length in bytes of some sectors on a disk of `size` bytes: in the first round at its start, in the second at its
    /// end, then anywhere.
    fn sectors(&mut self, round: u32, size: u64) -> (u64, u64) {
        let len = SECTOR_SIZE * (1 + self.below(MOST.min(size) / SECTOR_SIZE));
        let offset = match round {
            0 => 0,
            1 => size - len,
            // Near the start, where the smaller tables have their data.
            2..6 => SECTOR_SIZE * self.below(((size - len) / SECTOR_SIZE).min(1024) + 1),
            _ => SECTOR_SIZE * self.below((size - len) / SECTOR_SIZE + 1),
        };
        (offset, len)
    }
}

/// Reads at several places. All ways of reading agree, and parts reported as zeros are zeros.
pub(super) fn read(disk: &dyn Disk, numbers: &mut Numbers) {
    let size = disk.size();
    assert!(size.is_multiple_of(SECTOR_SIZE));
    for round in 0..if size > 0 { 10 } else { 0 } {
        let (offset, len) = numbers.sectors(round, size);
        let cuts = [numbers.below(len), len];
        let (whole, parts) = (read_at(disk, offset, &[len]), read_at(disk, offset, &cuts));
        if let (Ok(whole), Ok(parts)) = (&whole, &parts) {
            assert!(whole == parts, "{len} bytes at {offset} depend on how they are read");
        }
        if let Ok(extent) = disk.extent_at(offset, len) {
            assert!((1..=len).contains(&extent.len), "{extent:?} at {offset}, of {len}");
            if let (true, Ok(whole)) = (extent.is_zero, &whole) {
                assert!(is_zero(&whole[..index(extent.len)]), "{extent:?} at {offset}");
            }
        }
    }
}

/// Writes at several places, in all ways. If the image is `sane`, only the written places change.
fn write(disk: &dyn Disk, numbers: &mut Numbers, sane: bool) {
    let size = disk.size();
    for round in 0..if size > 0 { 7 } else { 0 } {
        let (offset, len) = numbers.sectors(round, size);
        // Compare the surroundings as well.
        let start = offset - SECTOR_SIZE * numbers.below((offset.min(MOST)) / SECTOR_SIZE + 1);
        let end =
            offset + len + SECTOR_SIZE * numbers.below((size - offset - len).min(MOST) / SECTOR_SIZE + 1);
        let whole = || read_at(disk, start, &[end - start]);
        let before = if sane { whole().ok() } else { None };
        let range = index(offset - start)..index(offset - start + len);
        let what = numbers.below(8);
        let mut data = match what {
            0..=1 => vec![0; index(len)],
            _ => vec![numbers.below(255).to_le_bytes()[0]; index(len)],
        };
        let written = match what {
            0 => disk.write_zeroes(offset..offset + len, false),
            1 => disk.write_zeroes(offset..offset + len, true),
            2 => disk.discard(offset..offset + len),
            _ => disk.write_at(&[VolatileSlice::from(&mut data[..])], offset),
        };
        if numbers.below(4) == 0 {
            let _ = disk.flush();
        }
        if let (Some(mut wanted), Ok(()), Ok(mut now)) =
            (before, written, if sane { whole() } else { continue })
        {
            if what == 2 {
                now[range.clone()].copy_from_slice(&data);
            }
            wanted[range].copy_from_slice(&data);
            assert!(wanted == now, "{len} bytes at {offset}, written by way {what}");
        }
    }
    let _ = disk.flush();
}

/// Reads at `offset` into buffers that end at these distances from it.
fn read_at(disk: &dyn Disk, offset: u64, ends: &[u64]) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0xee; index(ends.last().copied().unwrap_or(0))];
    let mut rest = bytes.as_mut_slice();
    let mut start = 0;
    let mut buffers = Vec::new();
    for end in ends {
        let (buffer, behind) = rest.split_at_mut(index(end - start));
        buffers.push(VolatileSlice::from(buffer));
        (rest, start) = (behind, *end);
    }
    disk.read_at(&buffers, offset)?;
    drop(buffers);
    Ok(bytes)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes == vec![0; bytes.len()]
}

fn index(len: u64) -> usize {
    usize::try_from(len).expect("no more than is in memory")
}
