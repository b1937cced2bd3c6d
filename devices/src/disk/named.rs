//! A disk by another name.

use std::{fs::File, io, ops::Range, sync::Arc};

use vm_memory::VolatileSlice;

use super::{BlockSize, Direction, Disk, Extent};

/// A disk that messages call by a name that the user gave, instead of its path.
#[derive(Debug)]
pub struct Named {
    name: String,
    disk: Arc<dyn Disk>,
}

impl Named {
    /// Gives `disk` this name.
    #[must_use]
    pub fn new(name: String, disk: Arc<dyn Disk>) -> Self {
        Self { name, disk }
    }
}

impl Disk for Named {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn measure(&self) -> io::Result<u64> {
        self.disk.measure()
    }

    fn is_read_only(&self) -> bool {
        self.disk.is_read_only()
    }

    fn block_size(&self) -> BlockSize {
        self.disk.block_size()
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.disk.read_at(buffers, offset)
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.disk.write_at(buffers, offset)
    }

    fn write_zeroes(&self, range: Range<u64>, unmap: bool) -> io::Result<()> {
        self.disk.write_zeroes(range, unmap)
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        self.disk.discard(range)
    }

    fn flush(&self) -> io::Result<()> {
        self.disk.flush()
    }

    fn unlock(&self) -> io::Result<()> {
        self.disk.unlock()
    }

    fn lock_again(&self) -> io::Result<Option<String>> {
        self.disk.lock_again()
    }

    fn extent_at(&self, offset: u64, len: u64) -> io::Result<Extent> {
        self.disk.extent_at(offset, len)
    }

    fn files(&self) -> Vec<&File> {
        self.disk.files()
    }

    fn file_for(&self, direction: Direction, buffers: &[VolatileSlice<'_>], offset: u64) -> Option<usize> {
        self.disk.file_for(direction, buffers, offset)
    }

    fn is_in_memory(&self) -> bool {
        self.disk.is_in_memory()
    }

    fn transfer_now(
        &self,
        direction: Direction,
        buffers: &[VolatileSlice<'_>],
        offset: u64,
    ) -> io::Result<usize> {
        self.disk.transfer_now(direction, buffers, offset)
    }
}
