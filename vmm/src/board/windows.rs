//! The windows of addresses that PCI BARs are placed in.

use std::ops::Range;

use arch::layout;
use devices::pci::{Bar, BarSpace};
use vm_allocator::{AddressAllocator, AllocPolicy, Error};

/// The windows, and what is free in them.
#[derive(Debug)]
pub(super) struct Windows {
    io: AddressAllocator,
    memory32: AddressAllocator,
    memory64: Option<AddressAllocator>,
}

impl Windows {
    /// Nothing but free addresses: of I/O ports, of memory below 4 GiB, and in `memory64` if there is a window above RAM.
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

    /// Takes the first addresses that are free for `bar`, or none. A 64-bit BAR goes above RAM first if it is prefetchable, which is what
    /// large ones are, and below 4 GiB first if it is not: a small one is in the way of nobody there, and every guest reaches it.
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
