//! The address windows in which PCI BARs are placed.

use std::ops::Range;

use arch::layout;
use devices::pci::{Bar, BarSpace};
use vm_allocator::{AddressAllocator, AllocPolicy, Error};

/// The windows, with their free addresses.
#[derive(Debug)]
pub(super) struct Windows {
    io: AddressAllocator,
    memory32: AddressAllocator,
    memory64: Option<AddressAllocator>,
}

impl Windows {
    /// Makes windows in which all addresses are free: for I/O ports, for memory below 4 GiB, and `memory64` if there is a window above RAM.
    ///
    /// # Errors
    ///
    /// `memory64` is empty.
    pub(super) fn new(memory64: Option<&Range<u64>>) -> Result<Self, Error> {
        let io = u64::from(layout::PCI_IO);
        Ok(Self {
            io: AddressAllocator::new(io, u64::from(u16::MAX) + 1 - io)?,
            memory32: AddressAllocator::new(layout::PCI_MMIO, layout::PCI_MMIO_LEN)?,
            memory64: memory64
                .map(|window| AddressAllocator::new(window.start, window.end - window.start))
                .transpose()?,
        })
    }

    /// Allocates the first free addresses for `bar`; none if there is no room. A prefetchable 64-bit BAR, as large ones are, goes above RAM
    /// if possible. One that is not prefetchable goes below 4 GiB if possible: it is small, and every guest can access it there.
    pub(super) fn place(&mut self, bar: Bar) -> Option<u64> {
        let Self { io, memory32, memory64 } = self;
        let windows = match bar.space() {
            BarSpace::Io => [Some(io), None],
            BarSpace::Memory32 => [Some(memory32), None],
            BarSpace::Memory64 if bar.is_prefetchable() => [memory64.as_mut(), Some(memory32)],
            BarSpace::Memory64 => [Some(memory32), memory64.as_mut()],
        };
        windows.into_iter().flatten().find_map(|window| {
            let size = bar.size();
            Some(window.allocate(size, size, AllocPolicy::FirstMatch).ok()?.start())
        })
    }
}

#[cfg(test)]
#[path = "windows_test.rs"]
mod tests;
