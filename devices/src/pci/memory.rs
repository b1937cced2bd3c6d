use std::io;

use vm_memory::{Bytes, MmapRegion, VolatileMemory, VolatileSlice, mmap::MmapRegionError};

use super::Bar;
use crate::bus::{Effect, Target};

/// The memory behind a BAR, such as a display's framebuffer, zeroed at first. Its function and the machine, which maps it into
/// the guest, share it; the last of them unmaps it.
///
/// It is not guest RAM: the guest's memory map does not have it, and devices do not reach it by its guest-physical address.
#[derive(Debug)]
pub struct BarMemory(MmapRegion);

impl BarMemory {
    /// Maps memory for the whole of `bar`. It is allocated as it is written to.
    ///
    /// # Errors
    ///
    /// The host has no room for it.
    pub fn new(bar: &Bar) -> io::Result<Self> {
        let len = usize::try_from(bar.size()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mapping = MmapRegion::new(len).map_err(|error| match error {
            MmapRegionError::Mmap(error) => error,
            error => io::Error::other(error),
        })?;
        Ok(Self(mapping))
    }

    /// All of it, which the guest may change at any time.
    #[must_use]
    pub fn as_volatile_slice(&self) -> VolatileSlice<'_> {
        self.0.as_volatile_slice()
    }
}

/// Serves the accesses that cause an exit: where less than a page of it can be seen, and where it is not mapped yet.
impl Target for BarMemory {
    fn read(&self, offset: u64, data: &mut [u8]) {
        let read = usize::try_from(offset).map(|offset| self.as_volatile_slice().read_slice(data, offset));
        if !matches!(read, Ok(Ok(()))) {
            data.fill(0xff);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Effect {
        if let Ok(offset) = usize::try_from(offset) {
            // What lies past its end goes nowhere, as on the bus.
            let _written = self.as_volatile_slice().write_slice(data, offset);
        }
        Effect::None
    }
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod tests;
