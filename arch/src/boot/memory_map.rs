//! Where guest memory is, and how the kernel is told.

use vm_memory::GuestAddress;

use super::error::BootError;
use crate::{
    cpu::address_width::MAX_PHYSICAL_BITS,
    layout::{self, PAGE},
};

/// The end of what addresses can say.
const MAX_PHYSICAL_ADDRESS: u64 = 1 << MAX_PHYSICAL_BITS;

/// Guest memory, as the VMM maps it and as the kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryMap {
    /// Ranges to back with memory: from 0, and from 4 GiB if the hole for devices left something over.
    pub ram: Vec<(GuestAddress, usize)>,
    /// The memory map handed to the kernel, sorted, without overlaps.
    pub e820: Vec<E820Entry>,
}

impl MemoryMap {
    /// The address after the last that it has.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.e820.iter().map(|entry| entry.addr + entry.size).max().unwrap_or_default()
    }
}

/// A range of the kernel's memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct E820Entry {
    /// First address.
    pub addr: u64,
    /// Length in bytes.
    pub size: u64,
    /// What it is for.
    pub kind: E820Type,
}

/// ACPI 6.5, "Address Range Types"; PVH uses the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum E820Type {
    /// Usable RAM.
    Ram = 1,
    /// In use or not there.
    Reserved = 2,
    /// RAM that holds ACPI tables.
    Acpi = 3,
}

/// Lays out `size` bytes of memory.
///
/// # Errors
///
/// `size` is not above 1 MiB, not whole pages, or past the physical address space.
pub fn memory_map(size: u64) -> Result<MemoryMap, BootError> {
    if size <= layout::HIGH_RAM {
        return Err(BootError::MemoryTooSmall(size));
    }
    if !size.is_multiple_of(PAGE) {
        return Err(BootError::MemoryUnaligned(size));
    }
    if size > MAX_PHYSICAL_ADDRESS - layout::RAM_ABOVE_4G {
        return Err(BootError::MemoryTooLarge(size));
    }
    let bytes = |size: u64| usize::try_from(size).map_err(|_| BootError::MemoryTooLarge(size));
    let low = size.min(layout::PCI_MMIO);
    let high = size - low;

    let mut ram = vec![(GuestAddress(0), bytes(low)?)];
    let mut e820 = vec![
        E820Entry::new(0..layout::LOW_RAM_END, E820Type::Ram),
        E820Entry::new(layout::SMBIOS_TABLES..layout::ACPI_TABLES, E820Type::Reserved),
        // With SMBIOS's entry point: Linux has a resource of its own from F0000H on, which may lie in another, but not across its end.
        E820Entry::new(layout::ACPI_TABLES..layout::HIGH_RAM, E820Type::Acpi),
        E820Entry::new(layout::HIGH_RAM..low, E820Type::Ram),
        // Linux uses ECAM only where firmware has reserved it.
        E820Entry::new(layout::ECAM..layout::ECAM + layout::ECAM_LEN, E820Type::Reserved),
        E820Entry::new(layout::KVM_IDENTITY_MAP..layout::KVM_TSS + 3 * PAGE, E820Type::Reserved),
    ];
    if high > 0 {
        ram.push((GuestAddress(layout::RAM_ABOVE_4G), bytes(high)?));
        e820.push(E820Entry::new(layout::RAM_ABOVE_4G..layout::RAM_ABOVE_4G + high, E820Type::Ram));
    }
    Ok(MemoryMap { ram, e820 })
}

impl E820Entry {
    fn new(range: std::ops::Range<u64>, kind: E820Type) -> Self {
        Self { addr: range.start, size: range.end - range.start, kind }
    }
}
