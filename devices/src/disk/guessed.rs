//! Disks that were taken for raw because of their first bytes.
//!
//! A guest owns every byte of a raw disk. If it writes the first bytes of another format, a program that guesses the format next time opens
//! any file of the host that those bytes name. So a disk that was taken for raw because it looked like no other format stays raw: a write
//! that would change that is refused.

use std::{fs::File, io, ops::Range};

use vm_memory::VolatileSlice;

use super::{
    BlockSize, Direction, Disk, Extent, SECTOR_SIZE,
    probe::{Looks, SECTOR_LEN},
    raw::RawDisk,
};

/// A disk that was taken for raw because it looked like no other format.
#[derive(Debug)]
pub(super) struct GuessedRaw(pub(super) RawDisk);

impl GuessedRaw {
    /// Writes the part of `buffers` that belongs to the first sector, from `offset` on, unless the disk would then look like an image of
    /// another format. It writes the same copy that it checked: the guest can change its memory at any time.
    fn write_first(&self, buffers: &[VolatileSlice<'_>], offset: usize) -> io::Result<()> {
        let mut after = [0; SECTOR_LEN];
        self.0.read_at(&[VolatileSlice::from(&mut after[..])], 0)?;
        let mut rest = &mut after[offset..];
        for buffer in buffers {
            let copied = buffer.copy_to(rest);
            rest = &mut rest[copied..];
        }
        if let Some(looks) = Looks::of(&after) {
            return Err(io::Error::other(format!(
                "it would make the disk look like a {} image, and no format was given; add format=raw to allow that",
                looks.name()
            )));
        }
        self.0.write_at(&[VolatileSlice::from(&mut after[..])], 0)
    }
}

impl Disk for GuessedRaw {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn measure(&self) -> io::Result<u64> {
        self.0.measure()
    }

    fn is_read_only(&self) -> bool {
        self.0.is_read_only()
    }

    fn block_size(&self) -> BlockSize {
        self.0.block_size()
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.0.read_at(buffers, offset)
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        let offset_in_first = usize::try_from(offset).ok().filter(|&offset| offset < SECTOR_LEN);
        let Some(offset_in_first) = offset_in_first else {
            return self.0.write_at(buffers, offset);
        };
        self.write_first(buffers, offset_in_first)?;
        let mut skip = SECTOR_LEN - offset_in_first;
        let mut rest = Vec::new();
        for buffer in buffers {
            let skipped = skip.min(buffer.len());
            skip -= skipped;
            rest.push(buffer.offset(skipped).map_err(io::Error::other)?);
        }
        self.0.write_at(&rest, SECTOR_SIZE)
    }

    fn write_zeroes(&self, range: Range<u64>, unmap: bool) -> io::Result<()> {
        self.0.write_zeroes(range, unmap)
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        self.0.discard(range)
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }

    fn lock_again(&self) -> io::Result<Option<String>> {
        self.0.lock_again()
    }

    fn extent_at(&self, offset: u64, len: u64) -> io::Result<Extent> {
        self.0.extent_at(offset, len)
    }

    fn files(&self) -> Vec<&File> {
        self.0.files()
    }

    fn file_for(&self, direction: Direction, buffers: &[VolatileSlice<'_>], offset: u64) -> Option<usize> {
        let looked_at = direction == Direction::Write && offset < SECTOR_SIZE;
        if looked_at { None } else { self.0.file_for(direction, buffers, offset) }
    }
}
