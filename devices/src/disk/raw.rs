//! Raw images: files and block devices whose bytes are the disk's.

mod direct;
mod error;
mod opened;

pub use error::{DiskError, Problem};

use std::{
    fs::File,
    io::{self, ErrorKind, Seek, SeekFrom},
    iter,
    ops::Range,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{FallocateFlags, SeekFrom as SeekTo, fallocate, fstatfs, ioctl_blkpbszget, ioctl_blksszget, seek},
    io::Errno,
};
use vm_memory::VolatileSlice;

pub(super) use self::opened::Opened;
use self::{direct::Direct, error::Failure};
pub use super::options::DiskOptions;
use super::{
    BlockSize, Direction, Disk, Extent, SECTOR_SIZE,
    lock::{self, LockedFile},
};
use crate::{printable::ToPrintable, vectored};

/// The block sizes of a disk that is a file: sectors for which any partition table was made, in pages of the page cache.
pub(super) const FILE_BLOCK_SIZE: BlockSize =
    BlockSize { logical: 512, physical: 4096, optimal: 0, discard: 4096 };

/// The number of zero bytes that are written at a time, where the file can't make zeros itself.
pub(super) const ZEROES: usize = 256 << 10;

/// An open raw image, locked until it is dropped.
#[derive(Debug)]
pub struct RawDisk {
    name: String,
    file: LockedFile,
    direct: Option<Direct>,
    /// Length of the file in bytes, which need not be a whole number of sectors.
    len: AtomicU64,
    block_size: BlockSize,
    read_only: bool,
    in_memory: bool,
}

impl RawDisk {
    /// Opens and locks the image at `path`.
    ///
    /// # Errors
    ///
    /// The file is missing, is no disk, is empty, is in use by another program, can't be written to although that was asked for, or does not
    /// support direct I/O although that was asked for.
    pub fn open(path: &Path, options: &DiskOptions) -> Result<Self, DiskError> {
        Self::new(Opened::open(path, options)?, path, options)
    }

    /// Uses a file that was opened with the same `path` and `options`.
    pub(super) fn new(opened: Opened, path: &Path, options: &DiskOptions) -> Result<Self, DiskError> {
        let Opened { file, len, is_device } = opened;
        let block_size = if is_device { device_block_size(&file) } else { Ok(FILE_BLOCK_SIZE) };
        let direct = if options.direct { Direct::open(&file, options).map(Some) } else { Ok(None) };
        Ok(Self {
            name: path.printable().to_string(),
            block_size: block_size.map_err(Failure::of(path))?,
            direct: direct.map_err(Failure::of(path))?,
            in_memory: is_in_memory(&file),
            file,
            len: len.into(),
            read_only: options.read_only,
        })
    }

    /// The file to use for a transfer. Transfers that direct I/O can't do go through the page cache, which the kernel keeps coherent with
    /// it: an unaligned offset, an unaligned address, and the part of a sector at the end of a file.
    fn suitable(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> &File {
        match &self.direct {
            Some(direct)
                if direct.can(buffers, offset) && offset + vectored::total(buffers) <= self.len() =>
            {
                &direct.file
            }
            _ => &self.file,
        }
    }

    fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// The offset at which data or a hole (`whence`) begins, from `offset` on; the file's end if there is none.
    fn seek(&self, whence: fn(u64) -> SeekTo, offset: u64) -> io::Result<u64> {
        match seek(&*self.file, whence(offset)) {
            Err(Errno::NXIO) => Ok(u64::MAX),
            found => Ok(found?),
        }
    }
}

impl Disk for RawDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.len().next_multiple_of(SECTOR_SIZE)
    }

    fn measure(&self) -> io::Result<u64> {
        let len = (&*self.file).seek(SeekFrom::End(0))?;
        self.len.fetch_max(len, Ordering::Relaxed);
        Ok(self.size())
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn block_size(&self) -> BlockSize {
        self.block_size
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        let read = vectored::read(self.suitable(buffers, offset), buffers, offset)?;
        if read == vectored::total(buffers) {
            return Ok(());
        }
        // Zeros follow the end of a file that is not a whole number of sectors. A read that ends before it means that somebody truncated
        // the file.
        if offset + read < self.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        zero_from(buffers, read);
        Ok(())
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        vectored::write(self.suitable(buffers, offset), buffers, offset)
    }

    fn write_zeroes(&self, range: Range<u64>, unmap: bool) -> io::Result<()> {
        if unmap && allocate(&self.file, &range, FallocateFlags::PUNCH_HOLE)? {
            return Ok(());
        }
        if allocate(&self.file, &range, FallocateFlags::ZERO_RANGE)? {
            return Ok(());
        }
        let mut zeroes = vec![0; ZEROES];
        let mut offset = range.start;
        while offset < range.end {
            let part = usize::try_from(range.end - offset).unwrap_or(ZEROES).min(ZEROES);
            self.write_at(&[VolatileSlice::from(&mut zeroes[..part])], offset)?;
            offset += part as u64;
        }
        Ok(())
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        // A device takes only whole blocks.
        let unit = u64::from(self.block_size.logical);
        let (start, end) = (range.start.next_multiple_of(unit), range.end - range.end % unit);
        if start >= end {
            return Ok(());
        }
        allocate(&self.file, &(start..end), FallocateFlags::PUNCH_HOLE).map(drop)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Readers don't disturb each other: a disk that is only read keeps its locks.
    fn unlock(&self) -> io::Result<()> {
        if self.read_only { Ok(()) } else { lock::unlock(&self.file) }
    }

    fn lock_again(&self) -> io::Result<Option<String>> {
        if self.read_only { Ok(None) } else { lock::lock_or_blame(&self.file, true) }
    }

    fn extent_at(&self, offset: u64, len: u64) -> io::Result<Extent> {
        // A device can't report holes, and has no end to seek to.
        let Ok(data) = self.seek(SeekTo::Data, offset) else {
            return Ok(Extent { len, is_zero: false });
        };
        let is_zero = data > offset;
        let end = if is_zero { data } else { self.seek(SeekTo::Hole, offset)? };
        Ok(Extent { len: len.min(end - offset), is_zero })
    }

    fn files(&self) -> Vec<&File> {
        iter::once(&*self.file).chain(self.direct.as_ref().map(|direct| &direct.file)).collect()
    }

    fn file_for(&self, _: Direction, buffers: &[VolatileSlice<'_>], offset: u64) -> Option<usize> {
        // The kernel can't fill the part of a sector behind the end of a file.
        let whole = offset + vectored::total(buffers) <= self.len();
        let direct = || self.direct.as_ref().is_some_and(|direct| direct.can(buffers, offset));
        whole.then(|| usize::from(direct()))
    }

    fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    fn transfer_now(
        &self,
        direction: Direction,
        buffers: &[VolatileSlice<'_>],
        offset: u64,
    ) -> io::Result<usize> {
        if self.direct.is_some() {
            // Direct I/O always waits for the storage.
            return Err(ErrorKind::Unsupported.into());
        }
        vectored::now(&self.file, direction, buffers, offset)
    }
}

/// Returns whether the file is on a file system that keeps files only in memory (which may be swapped out).
fn is_in_memory(file: &File) -> bool {
    // linux/magic.h: TMPFS_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC.
    const IN_MEMORY: [i64; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];
    fstatfs(file).is_ok_and(|facts| IN_MEMORY.contains(&facts.f_type))
}

/// Changes how `range` of `file` is stored, and nothing behind its end. Returns false if the file system can't do that.
pub(super) fn allocate(file: &File, range: &Range<u64>, flags: FallocateFlags) -> io::Result<bool> {
    loop {
        match fallocate(file, flags | FallocateFlags::KEEP_SIZE, range.start, range.end - range.start) {
            Ok(()) => return Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn device_block_size(device: &File) -> Result<BlockSize, Failure> {
    let logical = ioctl_blksszget(device).map_err(Problem::Measure.because())?;
    let physical = ioctl_blkpbszget(device).map_err(Problem::Measure.because())?;
    let physical = physical.max(logical);
    Ok(BlockSize { logical, physical, optimal: 0, discard: physical })
}

/// Zeroes `buffers` except for their first `skip` bytes. Less than a sector is left then.
fn zero_from(buffers: &[VolatileSlice<'_>], skip: u64) {
    let mut skip = usize::try_from(skip).unwrap_or(usize::MAX);
    for buffer in buffers {
        let kept = skip.min(buffer.len());
        skip -= kept;
        if let Ok(rest) = buffer.offset(kept) {
            rest.copy_from(&[0_u8; 512]);
        }
    }
}

#[cfg(test)]
#[path = "raw_test.rs"]
mod tests;
