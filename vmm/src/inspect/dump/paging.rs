//! Finds the linear addresses that the guest's page tables map.

use std::{collections::BTreeSet, ops::Range};

use arch::{
    memory::GuestRam,
    paging::{Entry, Paging, Physical, Table},
};

use super::{
    super::{error::InspectError, file::Stop, registers::Registers},
    elf::Segment,
};

/// The most segments of a core: a few fewer than its header can count, to leave some for unmapped memory.
const MOST: usize = 65_000;

/// The vCPUs' mappings to RAM, as segments of a core with the memory `ranges`, one after the other.
///
/// If vCPUs' user processes map the same addresses, the first vCPU counts. A table to which several entries of one level point is followed
/// only once, for the lowest address, so that the work is bounded by the guest's memory.
///
/// # Errors
///
/// There are more mappings than a core can have, or it has to stop.
pub(super) fn segments(
    vcpus: &[Registers],
    memory: &GuestRam,
    ranges: &[Range<u64>],
    stop: Stop<'_>,
) -> Result<Vec<Segment>, InspectError> {
    let mut walk =
        Walk { memory, ranges, stop, seen: BTreeSet::new(), roots: BTreeSet::new(), found: Vec::new() };
    // A nested guest's tables are in its own physical addresses.
    for vcpu in vcpus.iter().filter(|vcpu| !vcpu.is_in_nested_guest()) {
        walk.root(&vcpu.paging)?;
    }
    Ok(walk.found)
}

struct Walk<'a> {
    memory: &'a GuestRam,
    ranges: &'a [Range<u64>],
    stop: Stop<'a>,
    /// Tables that have been followed.
    seen: BTreeSet<Table>,
    /// The linear addresses of top-level entries that have been followed.
    roots: BTreeSet<u64>,
    found: Vec<Segment>,
}

impl Walk<'_> {
    /// Follows the top-level entries, except for those that another vCPU had.
    fn root(&mut self, paging: &Paging) -> Result<(), InspectError> {
        for (linear, entry) in paging.entries(self.memory) {
            if self.roots.insert(linear) {
                self.entry(entry, linear)?;
            }
        }
        Ok(())
    }

    /// Follows a table that maps the addresses from `linear` on.
    fn table(&mut self, table: Table, linear: u64) -> Result<(), InspectError> {
        if !self.seen.insert(table) {
            return Ok(());
        }
        if (self.stop)() {
            return Err(InspectError::Stopped);
        }
        for (distance, entry) in table.entries(self.memory) {
            self.entry(entry, linear + distance)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry, linear: u64) -> Result<(), InspectError> {
        match entry {
            Entry::Table(table) => self.table(table, linear),
            Entry::Page(Physical { address, len }) => self.map(linear, address, len),
        }
    }

    /// Adds the parts of a mapping that are in the core, extending the last segment if possible.
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

#[cfg(test)]
#[path = "paging_test.rs"]
mod tests;
