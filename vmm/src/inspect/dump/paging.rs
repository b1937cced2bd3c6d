//! The linear addresses that the guest's page tables map: SDM 3A, "4-Level Paging and 5-Level Paging".

use std::{collections::BTreeSet, ops::Range};

use arch::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};

use super::{
    super::{error::InspectError, file::Stop, registers::Registers},
    elf::Segment,
};

const PRESENT: u64 = 1;
const PAGE_SIZE: u64 = 1 << 7;
/// Bits 51:12 of an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const ENTRIES: usize = 512;

/// The most segments of a core: more are more than its header counts, with some for memory that nothing maps.
const MOST: usize = 65_000;

/// The mappings that vCPUs have in RAM, as segments of a core whose memory is `ranges`, one after the other.
///
/// The vCPUs' user processes may map the same addresses; the first vCPU counts. A table that several entries of the same level name is
/// followed once, by the lowest address, so that the work is bounded by the guest's memory.
///
/// # Errors
///
/// A vCPU has another kind of paging, there are more mappings than a core can have, or it is to stop.
pub(super) fn segments(
    vcpus: &[Registers],
    memory: &GuestRam,
    ranges: &[Range<u64>],
    stop: Stop<'_>,
) -> Result<Vec<Segment>, InspectError> {
    let mut walk =
        Walk { memory, ranges, stop, seen: BTreeSet::new(), roots: BTreeSet::new(), found: Vec::new() };
    for (vcpu, registers) in vcpus.iter().enumerate() {
        // Those of a nested guest are in its own memory.
        if !registers.has_paging() || registers.is_in_nested_guest() {
            continue;
        }
        if !registers.is_long_mode() {
            return Err(InspectError::Argument(format!(
                "dump-guest-memory: paging: vCPU {vcpu} uses 32-bit paging, which nvmm does not follow; use \"paging\": false"
            )));
        }
        let levels = if registers.has_5_levels() { 5 } else { 4 };
        walk.root(registers.system.cr3 & ADDRESS, levels)?;
    }
    Ok(walk.found)
}

struct Walk<'a> {
    memory: &'a GuestRam,
    ranges: &'a [Range<u64>],
    stop: Stop<'a>,
    /// Tables that were followed, each with its level.
    seen: BTreeSet<(u64, u32)>,
    /// Entries of the tables at the top that were followed.
    roots: BTreeSet<usize>,
    found: Vec<Segment>,
}

impl Walk<'_> {
    /// Follows a table at the top, except for entries that another vCPU had.
    fn root(&mut self, table: u64, levels: u32) -> Result<(), InspectError> {
        for (index, entry) in self.entries(table) {
            if self.roots.insert(index) {
                self.entry(entry, levels, canonical((index as u64) << shift(levels), levels))?;
            }
        }
        Ok(())
    }

    /// Follows a table of this level, of which 1 is the last, that maps the addresses from `linear` on.
    fn table(&mut self, table: u64, level: u32, linear: u64) -> Result<(), InspectError> {
        if !self.seen.insert((table, level)) {
            return Ok(());
        }
        if (self.stop)() {
            return Err(InspectError::Stopped);
        }
        for (index, entry) in self.entries(table) {
            self.entry(entry, level, linear | (index as u64) << shift(level))?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: u64, level: u32, linear: u64) -> Result<(), InspectError> {
        let len = 1 << shift(level);
        match level {
            1 => self.map(linear, entry & ADDRESS, len),
            2 | 3 if entry & PAGE_SIZE != 0 => self.map(linear, entry & ADDRESS & !(len - 1), len),
            _ => self.table(entry & ADDRESS, level - 1, linear),
        }
    }

    /// The entries of a table that are present; none if it is not in RAM.
    fn entries(&self, table: u64) -> Vec<(usize, u64)> {
        let mut bytes = [0; ENTRIES * 8];
        if self.memory.read_slice(&mut bytes, GuestAddress(table)).is_err() {
            return Vec::new();
        }
        let entries = bytes.as_chunks().0.iter().map(|&entry| u64::from_le_bytes(entry));
        entries.enumerate().filter(|(_, entry)| entry & PRESENT != 0).collect()
    }

    /// Adds what of a mapping is in the core, to the last segment if it goes on there.
    fn map(&mut self, linear: u64, physical: u64, len: u64) -> Result<(), InspectError> {
        let mut offset = 0;
        for range in self.ranges {
            let (start, end) = (physical.max(range.start), (physical + len).min(range.end));
            if start < end {
                let linear = linear + (start - physical);
                let segment = Segment {
                    linear,
                    physical: start,
                    len: end - start,
                    offset: offset + (start - range.start),
                };
                match self.found.last_mut() {
                    Some(last) if last.goes_on_at(&segment) => last.len += segment.len,
                    _ => self.found.push(segment),
                }
            }
            offset += range.end - range.start;
        }
        if self.found.len() > MOST {
            return Err(InspectError::Argument(format!(
                "dump-guest-memory: paging: the guest maps more than {MOST} ranges, and a core has no more; use \"paging\": false"
            )));
        }
        Ok(())
    }
}

/// The lowest bit of an address that chooses an entry of a table.
const fn shift(level: u32) -> u32 {
    12 + 9 * (level - 1)
}

/// Fills the bits above those that tables translate with the highest of these.
fn canonical(linear: u64, levels: u32) -> u64 {
    let bits = shift(levels) + 9;
    if linear >> (bits - 1) == 0 { linear } else { linear | u64::MAX << bits }
}

#[cfg(test)]
#[path = "paging_test.rs"]
mod tests;
