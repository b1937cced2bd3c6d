//! Guest memory by linear address, according to a vCPU's page tables.

use std::ops::Range;

use arch::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

/// The smallest page. RAM begins and ends at a page boundary.
const PAGE: u64 = 0x1000;

/// An address space of the guest. Only RAM is accessed: reading a device's registers may have side effects.
pub(crate) struct Space<'a> {
    /// Returns the guest-physical address of a linear one, if a page is mapped there.
    pub(crate) translate: &'a dyn Fn(u64) -> Option<u64>,
    /// The RAM.
    pub(crate) ram: &'a GuestRam,
}

impl Space<'_> {
    /// The guest-physical address of a byte, if it is RAM.
    pub(crate) fn physical(&self, address: u64) -> Option<u64> {
        (self.translate)(address).filter(|&physical| self.ram.address_in_range(GuestAddress(physical)))
    }

    /// Cuts a range at page boundaries, up to the first page that is not RAM. Each part has a guest-physical address, and the bytes of the
    /// range that are there.
    pub(crate) fn parts(&self, address: u64, len: usize) -> Vec<(u64, Range<usize>)> {
        let mut parts = Vec::new();
        let mut done = 0;
        while done < len {
            // Stop at the end of the address space.
            let Some(at) = address.checked_add(done as u64) else { break };
            let Some(physical) = self.physical(at) else { break };
            let in_page = usize::try_from(PAGE - at % PAGE).unwrap_or(usize::MAX);
            let end = len.min(done + in_page);
            parts.push((physical, done..end));
            done = end;
        }
        parts
    }

    /// Reads bytes at a guest-physical address. Returns whether they are RAM.
    pub(crate) fn read(&self, physical: u64, bytes: &mut [u8]) -> bool {
        self.ram.read_slice(bytes, GuestAddress(physical)).is_ok()
    }

    /// Writes bytes at a guest-physical address. Returns whether they are RAM.
    pub(crate) fn write(&self, physical: u64, bytes: &[u8]) -> bool {
        self.ram.write_slice(bytes, GuestAddress(physical)).is_ok()
    }
}
