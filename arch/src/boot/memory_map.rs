//! The guest's memory map, and its form for the kernel.

use std::ops::Range;

use vm_memory::GuestAddress;
use zerocopy::{
    Immutable, IntoBytes, Unaligned,
    little_endian::{U32, U64},
};

use super::error::BootError;
use crate::{
    cpu::address_width::MAX_PHYSICAL_BITS,
    layout::{self, PAGE},
};

/// The first address beyond the largest physical address space.
const MAX_PHYSICAL_ADDRESS: u64 = 1 << MAX_PHYSICAL_BITS;

/// Guest memory, as the VMM maps it and as the kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryMap {
    /// Ranges to back with memory: one from 0, and one from 4 GiB if not all fits below the hole for devices.
    pub ram: Vec<(GuestAddress, usize)>,
    /// The memory map handed to the kernel, sorted, without overlaps.
    pub e820: Vec<E820Entry>,
}

impl MemoryMap {
    /// Name of the file of [`MemoryMap::file`].
    pub const FILE: &str = "etc/e820";

    /// Returns the address after the last one in the map.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.e820.iter().map(|entry| entry.addr + entry.size).max().unwrap_or_default()
    }

    /// Returns the memory map as firmware reads it, from QEMU's file [`MemoryMap::FILE`].
    #[must_use]
    pub fn file(&self) -> Vec<u8> {
        let entry = |entry: &E820Entry| {
            let (addr, size, kind) = (entry.addr.into(), entry.size.into(), (entry.kind as u32).into());
            FileEntry { addr, size, kind }
        };
        self.e820.iter().map(entry).collect::<Vec<_>>().as_bytes().to_vec()
    }
}

/// A range of the kernel's memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct E820Entry {
    /// First address.
    pub addr: u64,
    /// Length in bytes.
    pub size: u64,
    /// The type.
    pub kind: E820Type,
    /// The use, in words.
    pub name: &'static str,
}

/// ACPI 6.5, "Address Range Types"; PVH uses the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum E820Type {
    /// Usable RAM.
    Ram = 1,
    /// Addresses that are in use, or that have no memory.
    Reserved = 2,
    /// RAM that holds ACPI tables.
    Acpi = 3,
}

/// An entry of the file: `struct e820_entry` of QEMU's `hw/i386/e820_memory_layout.h`.
#[derive(Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct FileEntry {
    addr: U64,
    size: U64,
    kind: U32,
}

/// Lays out `size` bytes of memory for a kernel that nvmm starts.
///
/// # Errors
///
/// `size` is not above 1 MiB, not whole pages, or past the physical address space.
pub fn memory_map(size: u64) -> Result<MemoryMap, BootError> {
    let Ram { low, high, ranges } = Ram::of(size, layout::PCI_MMIO)?;
    let mut e820 = vec![
        E820Entry::ram(0..layout::LOW_RAM_END),
        E820Entry::reserved("SMBIOS tables", layout::SMBIOS_TABLES..layout::ACPI_TABLES),
        // One entry includes SMBIOS's entry point: Linux adds a resource of its own from F0000H on, which may lie inside another one, but
        // not cross its end.
        E820Entry::new(
            "ACPI tables, SMBIOS entry point",
            layout::ACPI_TABLES..layout::HIGH_RAM,
            E820Type::Acpi,
        ),
        E820Entry::ram(layout::HIGH_RAM..low),
        // Linux uses ECAM only where firmware has reserved it.
        E820Entry::reserved("PCI configuration space", layout::ECAM..layout::ECAM + layout::ECAM_LEN),
        E820Entry::reserved("KVM's own pages", layout::KVM_PAGES),
    ];
    e820.extend(high.map(E820Entry::ram));
    Ok(MemoryMap { ram: ranges, e820 })
}

/// Lays out `size` bytes of memory for firmware, which reports in its own memory map what it keeps of them. Less memory lies below 4 GiB
/// than with a kernel, so that there is room for ECAM wherever firmware puts it.
///
/// # Errors
///
/// The size is one that [`memory_map`] refuses.
pub fn firmware_memory_map(size: u64) -> Result<MemoryMap, BootError> {
    let Ram { low, high, ranges } = Ram::of(size, layout::FIRMWARE_RAM_END)?;
    let mut e820 = vec![E820Entry::ram(0..low), E820Entry::reserved("KVM's own pages", layout::KVM_PAGES)];
    e820.extend(high.map(E820Entry::ram));
    Ok(MemoryMap { ram: ranges, e820 })
}

/// Memory in two pieces.
struct Ram {
    /// The end of the lower piece, which begins at 0.
    low: u64,
    /// The upper piece, if not all fits into the lower one.
    high: Option<Range<u64>>,
    /// Both pieces, as they are mapped.
    ranges: Vec<(GuestAddress, usize)>,
}

impl Ram {
    /// Puts as much of `size` as possible below `low_max`, and the rest above 4 GiB.
    fn of(size: u64, low_max: u64) -> Result<Self, BootError> {
        if size <= layout::HIGH_RAM {
            return Err(BootError::MemoryTooSmall(size));
        }
        if !size.is_multiple_of(PAGE) {
            return Err(BootError::MemoryUnaligned(size));
        }
        if size > MAX_PHYSICAL_ADDRESS - layout::RAM_ABOVE_4G {
            return Err(BootError::MemoryTooLarge(size));
        }
        let low = size.min(low_max);
        let high = (size > low).then(|| layout::RAM_ABOVE_4G..layout::RAM_ABOVE_4G + (size - low));
        let region = |range: &Range<u64>| {
            let len = usize::try_from(range.end - range.start);
            Ok((GuestAddress(range.start), len.map_err(|_| BootError::MemoryTooLarge(size))?))
        };
        let mut ranges = vec![region(&(0..low))?];
        if let Some(high) = &high {
            ranges.push(region(high)?);
        }
        Ok(Self { low, high, ranges })
    }
}

impl E820Entry {
    fn ram(range: Range<u64>) -> Self {
        Self::new("RAM", range, E820Type::Ram)
    }

    fn reserved(name: &'static str, range: Range<u64>) -> Self {
        Self::new(name, range, E820Type::Reserved)
    }

    fn new(name: &'static str, range: Range<u64>, kind: E820Type) -> Self {
        Self { addr: range.start, size: range.end - range.start, kind, name }
    }
}
