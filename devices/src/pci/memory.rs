use std::{fmt::Debug, io};

use vm_memory::{Bytes, MmapRegion, VolatileMemory, VolatileSlice, mmap::MmapRegionError};

use super::{Bar, dirty::DirtyPages};
use crate::bus::{Effect, Target};

/// The memory of a BAR, such as a display's framebuffer, which is zeroed at first. Its function and the machine, which maps it into the
/// guest, share it; the last one to drop it unmaps it.
///
/// The memory is not guest RAM: it is not in the guest's memory map, and devices can't reach it by a guest-physical address.
#[derive(Debug)]
pub struct BarMemory {
    mapping: MmapRegion,
    dirty: Option<DirtyPages>,
}

impl BarMemory {
    /// Maps memory for the whole of `bar`. Pages are allocated when they are written to.
    ///
    /// # Errors
    ///
    /// The host has no memory left.
    pub fn new(bar: &Bar) -> io::Result<Self> {
        let len = usize::try_from(bar.size()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mapping = MmapRegion::new(len).map_err(|error| match error {
            MmapRegionError::Mmap(error) => error,
            error => io::Error::other(error),
        })?;
        Ok(Self { mapping, dirty: None })
    }

    /// Maps memory for the whole of `bar`, and logs the pages that are written to.
    ///
    /// # Errors
    ///
    /// The host has no memory left.
    pub fn with_dirty_log(bar: &Bar) -> io::Result<Self> {
        Ok(Self { dirty: Some(DirtyPages::new(bar.size())), ..Self::new(bar)? })
    }

    /// All of the memory, which the guest may change at any time.
    #[must_use]
    pub fn as_volatile_slice(&self) -> VolatileSlice<'_> {
        self.mapping.as_volatile_slice()
    }

    /// The pages that were written to, if they are logged: by exits, by the device, and by the guest up to the last [`DirtyLog::collect`].
    #[must_use]
    pub fn dirty(&self) -> Option<&DirtyPages> {
        self.dirty.as_ref()
    }
}

/// The machine's log of the guest's writes without an exit.
pub trait DirtyLog: Send + Sync + Debug {
    /// Adds to `memory` the pages that the guest has written to since the last call.
    fn collect(&self, memory: &BarMemory);
}

/// Handles accesses that cause an exit: where less than a page is visible, and where the memory is not mapped yet.
impl Target for BarMemory {
    fn read(&self, offset: u64, data: &mut [u8]) {
        let read = usize::try_from(offset).map(|offset| self.as_volatile_slice().read_slice(data, offset));
        if !matches!(read, Ok(Ok(()))) {
            data.fill(0xff);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Effect {
        if let Ok(at) = usize::try_from(offset) {
            // Bytes past the end are ignored, as on the bus.
            let _written = self.as_volatile_slice().write_slice(data, at);
            self.dirty.iter().for_each(|dirty| dirty.add(offset..offset.saturating_add(data.len() as u64)));
        }
        Effect::None
    }
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod tests;
