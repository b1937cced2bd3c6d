//! The address of an initramfs in a guest's memory.

use std::ops::Range;

use arch::{
    layout::{self, PAGE},
    memory::GuestRam,
};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

/// A kernel's limit for the address of its initramfs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// The initramfs ends below this address.
    pub(super) below: u64,
    /// Any other address is also possible. Those below are only tried first, because they suit every kernel.
    pub(super) above_4g: bool,
    /// The reason for the limit.
    pub(super) why: &'static str,
}

/// The addresses of a guest's memory.
#[derive(Debug, Default)]
pub(super) struct Ram {
    /// The end of the memory that begins at 0.
    pub(super) low_end: u64,
    /// The rest, above 4 GiB.
    pub(super) high: Range<u64>,
}

impl Limit {
    /// The addresses for `len` bytes: as high as possible, as kernels unpack themselves upwards, and not below `start`, the end of the
    /// kernel.
    pub(super) fn place(&self, len: u64, start: u64, ram: &Ram) -> Option<Range<u64>> {
        let best = start..ram.low_end.min(self.below);
        let others = [start..ram.low_end, ram.high.clone()];
        let others = others.into_iter().take(if self.above_4g { 2 } else { 0 });
        std::iter::once(best).chain(others).find_map(|room| {
            let place = room.end.checked_sub(len)? & !(PAGE - 1);
            (place >= room.start).then_some(place..place + len)
        })
    }

    /// The smallest memory of a machine that has such addresses, if there is one.
    pub(super) fn memory_for(&self, len: u64, start: u64) -> Option<u64> {
        let end = start.checked_next_multiple_of(PAGE)?.checked_add(len)?.checked_next_multiple_of(PAGE)?;
        if end <= self.end() {
            Some(end)
        } else if self.above_4g {
            len.checked_next_multiple_of(PAGE)?.checked_add(layout::PCI_MMIO)
        } else {
            None
        }
    }

    /// The highest end below 4 GiB, if there is enough memory.
    pub(super) fn end(&self) -> u64 {
        if self.above_4g { layout::PCI_MMIO } else { self.below.min(layout::PCI_MMIO) }
    }
}

impl Ram {
    /// The addresses of a machine's memory.
    pub(super) fn of(memory: &GuestRam) -> Self {
        let mut ram = Self::default();
        for region in memory.iter() {
            let (start, end) = (region.start_addr().0, region.last_addr().unchecked_add(1).0);
            if start < layout::RAM_ABOVE_4G {
                ram.low_end = end;
            } else {
                ram.high = start..end;
            }
        }
        ram
    }
}

#[cfg(test)]
#[path = "initramfs_test.rs"]
mod tests;
