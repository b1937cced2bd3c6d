use std::io;

use vm_memory::{Bytes, MmapRegion, VolatileMemory, VolatileSlice, mmap::MmapRegionError};

use crate::bus::{Effect, Target};

/// The chip with the firmware. The guest reads it as memory and can't write to it, so that one chip serves through all resets.
#[derive(Debug)]
pub struct Rom(MmapRegion);

impl Rom {
    /// Makes a chip that holds `bytes`.
    ///
    /// # Errors
    ///
    /// There are no bytes, or the host has no memory for them.
    pub fn new(bytes: &[u8]) -> io::Result<Self> {
        let mapping = MmapRegion::new(bytes.len()).map_err(|error| match error {
            MmapRegionError::Mmap(error) => error,
            error => io::Error::other(error),
        })?;
        let rom = Self(mapping);
        rom.as_volatile_slice().write_slice(bytes, 0).map_err(io::Error::other)?;
        Ok(rom)
    }

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size() as u64
    }

    /// All of its bytes, for KVM to map.
    #[must_use]
    pub fn as_volatile_slice(&self) -> VolatileSlice<'_> {
        self.0.as_volatile_slice()
    }
}

/// Handles the accesses that cause an exit: writes, which have no effect.
impl Target for Rom {
    fn read(&self, offset: u64, data: &mut [u8]) {
        let read = usize::try_from(offset).map(|offset| self.as_volatile_slice().read_slice(data, offset));
        if !matches!(read, Ok(Ok(()))) {
            data.fill(0xff);
        }
    }

    fn write(&self, _offset: u64, _data: &[u8]) -> Effect {
        Effect::None
    }
}

#[cfg(test)]
#[path = "rom_test.rs"]
mod tests;
