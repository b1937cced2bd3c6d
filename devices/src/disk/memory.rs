//! Disks that nvmm makes itself and keeps in its own memory.

use std::{
    fmt,
    io::{self, ErrorKind},
    ops::Range,
};

use vm_memory::VolatileSlice;

use super::{BlockSize, Disk, Extent, SECTOR_SIZE, raw::FILE_BLOCK_SIZE};

/// A disk whose bytes are in memory, and which can only be read.
pub struct MemoryDisk {
    name: String,
    bytes: Vec<u8>,
}

impl MemoryDisk {
    /// Makes a disk of `bytes`, with zeros to the end of the last sector. Messages call it `name`.
    #[must_use]
    pub fn new(name: String, mut bytes: Vec<u8>) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a sector's length is small")]
        let sector = SECTOR_SIZE as usize;
        bytes.resize(bytes.len().next_multiple_of(sector), 0);
        Self { name, bytes }
    }
}

impl Disk for MemoryDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn block_size(&self) -> BlockSize {
        FILE_BLOCK_SIZE
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let mut rest = start.and_then(|start| self.bytes.get(start..)).ok_or(ErrorKind::UnexpectedEof)?;
        for buffer in buffers {
            let (part, behind) = rest.split_at_checked(buffer.len()).ok_or(ErrorKind::UnexpectedEof)?;
            buffer.copy_from(part);
            rest = behind;
        }
        Ok(())
    }

    fn write_at(&self, _: &[VolatileSlice<'_>], _offset: u64) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write_zeroes(&self, _: Range<u64>, _unmap: bool) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn discard(&self, _: Range<u64>) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn extent_at(&self, _offset: u64, len: u64) -> io::Result<Extent> {
        Ok(Extent { len, is_zero: false })
    }

    fn is_in_memory(&self) -> bool {
        true
    }
}

/// Leaves out the bytes, which may be secrets.
impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, bytes } = self;
        f.debug_struct("MemoryDisk").field("name", name).field("size", &bytes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod tests;
