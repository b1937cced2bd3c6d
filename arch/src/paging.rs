//! Page tables: the way from linear to physical addresses. SDM 3A, "Paging".
//!
//! Only present and reserved bits count. An entry's access rights restrict the guest but not a debugger, which reads a process' memory in
//! spite of SMAP and sets breakpoints in code that is read-only.
//!
//! The width of physical addresses does not count either: an address with a bit above it is beyond all RAM.

use std::sync::atomic::Ordering;

use kvm_bindings::kvm_sregs;
use vm_memory::{Bytes, GuestAddress};

use crate::memory::GuestRam;

const CR0_PG: u64 = 1 << 31;
const CR4_PSE: u64 = 1 << 4;
const CR4_PAE: u64 = 1 << 5;
const CR4_LA57: u64 = 1 << 12;
const EFER_LMA: u64 = 1 << 10;
const EFER_NXE: u64 = 1 << 11;

const PRESENT: u64 = 1;
const PAGE_SIZE: u64 = 1 << 7;
/// The PAT bit of a large page, which is below its address.
const LARGE_PAT: u64 = 1 << 12;
const EXECUTE_DISABLE: u64 = 1 << 63;
/// Bits 51:12 of an entry, and of CR3, which has a PCID below them and LAM's bits above.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bits 62:52, which PAE paging reserves.
const PAE_RESERVED: u64 = 0x7ff0_0000_0000_0000;
/// The bits of a PDPTE of PAE paging that are reserved: 2:1, 8:5 and 63:52.
const PDPTE_RESERVED: u64 = 0xfff0_0000_0000_01e6;
/// The bits of CR3 that hold the address of PAE paging's PDPTEs.
const PDPTES_ADDRESS: u64 = 0xffff_ffe0;
/// The end of linear addresses, except in IA-32e mode.
const END_32_BIT: u64 = 1 << 32;

/// The paging of one processor, as set by its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// The table at the top; none while paging is off.
    top: Option<Table>,
    /// The PDPTE registers of PAE paging, if they are known. Otherwise they are read from memory, from where they were loaded.
    pdptes: Option<[u64; 4]>,
}

/// A table of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    address: u64,
    /// The level; the last one is 1.
    level: u32,
    mode: Mode,
}

/// A paging mode, with the control bits that change the form of its entries. SDM 3A, "Paging Modes and Control Bits".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    /// 32-bit paging. With `pse`, it has pages of 4 MiB, which lie in 40 bits of physical addresses.
    Bits32 { pse: bool },
    /// PAE paging.
    Pae { nxe: bool },
    /// 4-level or 5-level paging.
    Long { nxe: bool },
}

/// The target of an entry that is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Another table.
    Table(Table),
    /// A page.
    Page(Physical),
}

/// A range of physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Physical {
    /// The first one.
    pub address: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Paging {
    /// Returns the paging of a processor with these control registers and EFER.
    #[must_use]
    pub fn of(sregs: &kvm_sregs) -> Self {
        let &kvm_sregs { cr0, cr3, cr4, efer, .. } = sregs;
        let nxe = efer & EFER_NXE != 0;
        let top = if cr0 & CR0_PG == 0 {
            None
        } else if efer & EFER_LMA != 0 {
            let level = if cr4 & CR4_LA57 != 0 { 5 } else { 4 };
            Some(Table { address: cr3 & ADDRESS, level, mode: Mode::Long { nxe } })
        } else if cr4 & CR4_PAE != 0 {
            Some(Table { address: cr3 & PDPTES_ADDRESS, level: 3, mode: Mode::Pae { nxe } })
        } else {
            let mode = Mode::Bits32 { pse: cr4 & CR4_PSE != 0 };
            Some(Table { address: cr3 & ADDRESS & (END_32_BIT - 1), level: 2, mode })
        };
        Self { top, pdptes: None }
    }

    /// Returns whether this is PAE paging, which has PDPTE registers.
    #[must_use]
    pub fn is_pae(&self) -> bool {
        self.top.is_some_and(Table::is_pdptes)
    }

    /// The same, with these PDPTE registers of PAE paging. The processor uses them even if memory has changed since they were loaded.
    #[must_use]
    pub fn with_pdptes(self, pdptes: [u64; 4]) -> Self {
        Self { pdptes: self.is_pae().then_some(pdptes), ..self }
    }

    /// The physical addresses from that of `linear` to the end of its page; none if no page is mapped there.
    #[must_use]
    pub fn translate(&self, linear: u64, memory: &GuestRam) -> Option<Physical> {
        let Some(top) = self.top else {
            return (linear < END_32_BIT).then(|| Physical { address: linear, len: END_32_BIT - linear });
        };
        if top.canonical(linear) != linear {
            return None;
        }
        let index = top.index(linear);
        let first = match self.pdptes {
            Some(pdptes) => usize::try_from(index).ok().and_then(|index| pdptes.get(index).copied()),
            None => top.read(index, memory),
        };
        let mut entry = top.decode(first?)?;
        loop {
            match entry {
                Entry::Table(table) => entry = table.decode(table.read(table.index(linear), memory)?)?,
                Entry::Page(Physical { address, len }) => {
                    let offset = linear & (len - 1);
                    return Some(Physical { address: address + offset, len: len - offset });
                }
            }
        }
    }

    /// The present entries of the table at the top, each with its first linear address; none without paging.
    #[must_use]
    pub fn entries(&self, memory: &GuestRam) -> Vec<(u64, Entry)> {
        let Some(top) = self.top else { return Vec::new() };
        let entries = match self.pdptes {
            Some(pdptes) => top.present(pdptes.into_iter()),
            None => top.entries(memory),
        };
        entries.into_iter().map(|(linear, entry)| (top.canonical(linear), entry)).collect()
    }
}

impl Table {
    /// The present entries, each with the distance of its first linear address from the table's; none if the table is not in RAM.
    #[must_use]
    pub fn entries(self, memory: &GuestRam) -> Vec<(u64, Entry)> {
        let mut bytes = vec![0; self.entry_size() << self.index_bits()];
        if memory.read_slice(&mut bytes, GuestAddress(self.address)).is_err() {
            return Vec::new();
        }
        match self.mode {
            Mode::Bits32 { .. } => {
                self.present(bytes.as_chunks().0.iter().map(|&entry| u32::from_le_bytes(entry).into()))
            }
            _ => self.present(bytes.as_chunks().0.iter().map(|&entry| u64::from_le_bytes(entry))),
        }
    }

    fn present(self, entries: impl Iterator<Item = u64>) -> Vec<(u64, Entry)> {
        let entries = (0_u64..).zip(entries);
        entries.filter_map(|(index, entry)| Some((index << self.shift(), self.decode(entry)?))).collect()
    }

    /// Reads an entry; none if it is not in RAM.
    fn read(self, index: u64, memory: &GuestRam) -> Option<u64> {
        let address = GuestAddress(self.address + index * self.entry_size() as u64);
        match self.mode {
            Mode::Bits32 { .. } => {
                memory.load(address, Ordering::Relaxed).ok().map(|entry| u32::from_le(entry).into())
            }
            _ => memory.load(address, Ordering::Relaxed).ok().map(u64::from_le),
        }
    }

    /// The target of an entry; none if it is not present, or has a reserved bit set.
    fn decode(self, entry: u64) -> Option<Entry> {
        let is_page = self.level == 1 || entry & PAGE_SIZE != 0 && self.may_map_large_pages();
        if entry & PRESENT == 0 || entry & self.reserved(is_page) != 0 {
            return None;
        }
        if !is_page {
            return Some(Entry::Table(Self { address: entry & ADDRESS, level: self.level - 1, ..self }));
        }
        let len = 1 << self.shift();
        let mut address = entry & ADDRESS & !(len - 1);
        if matches!(self.mode, Mode::Bits32 { .. }) && self.level > 1 {
            // PSE-36: bits 39:32 of the address are bits 20:13 of the entry.
            address |= (entry >> 13 & 0xff) << 32;
        }
        Some(Entry::Page(Physical { address, len }))
    }

    /// The bits of an entry that must be 0. SDM 3A, "Use of Page Tables": the figures of each mode's entries.
    fn reserved(self, is_page: bool) -> u64 {
        let large = is_page && self.level > 1;
        let in_large = if large { ((1 << self.shift()) - 1) & ADDRESS & !LARGE_PAT } else { 0 };
        let no_execute = |nxe: bool| if nxe { 0 } else { EXECUTE_DISABLE };
        match self.mode {
            Mode::Bits32 { .. } if large => 1 << 21,
            Mode::Bits32 { .. } => 0,
            Mode::Pae { .. } if self.is_pdptes() => PDPTE_RESERVED,
            Mode::Pae { nxe } => PAE_RESERVED | in_large | no_execute(nxe),
            Mode::Long { nxe } if self.level > 3 => PAGE_SIZE | no_execute(nxe),
            Mode::Long { nxe } => in_large | no_execute(nxe),
        }
    }

    fn may_map_large_pages(self) -> bool {
        match self.mode {
            Mode::Bits32 { pse } => pse && self.level == 2,
            Mode::Pae { .. } => self.level == 2,
            Mode::Long { .. } => self.level == 2 || self.level == 3,
        }
    }

    /// Returns whether this table holds the PDPTEs of PAE paging.
    fn is_pdptes(self) -> bool {
        matches!(self.mode, Mode::Pae { .. }) && self.level == 3
    }

    fn entry_size(self) -> usize {
        if matches!(self.mode, Mode::Bits32 { .. }) { 4 } else { 8 }
    }

    /// The lowest bit of the part of a linear address that selects an entry.
    fn shift(self) -> u32 {
        let bits = if matches!(self.mode, Mode::Bits32 { .. }) { 10 } else { 9 };
        12 + bits * (self.level - 1)
    }

    /// The number of bits of a linear address that select an entry.
    fn index_bits(self) -> u32 {
        match self.mode {
            Mode::Bits32 { .. } => 10,
            Mode::Pae { .. } if self.is_pdptes() => 2,
            _ => 9,
        }
    }

    /// The number of the entry that a linear address selects.
    fn index(self, linear: u64) -> u64 {
        linear >> self.shift() & ((1 << self.index_bits()) - 1)
    }

    /// The canonical form of `linear`, if this is the table at the top: bits above those that it translates
    /// repeat the highest of them in IA-32e mode, and are 0 in the others.
    fn canonical(self, linear: u64) -> u64 {
        let unused = u64::BITS - (self.shift() + self.index_bits());
        match self.mode {
            Mode::Long { .. } => ((linear << unused).cast_signed() >> unused).cast_unsigned(),
            _ => linear << unused >> unused,
        }
    }
}

#[cfg(test)]
#[path = "paging_test.rs"]
mod tests;
