//! The linear addresses that the guest's page tables map.

use std::{collections::BTreeSet, ops::Range};

use arch::{
    memory::GuestRam,
    paging::{Entry, Paging, Physical, Table},
};

use super::{
    super::{error::InspectError, file::Stop, registers::Registers},
    elf::Segment,
};

/// The most segments of a core: more are more than its header counts, with some for memory that nothing maps.
const MOST: usize = 65_000;

/// The mappings that vCPUs have in RAM, as segments of a core whose memory is `ranges`, one after the other.
///
/// The vCPUs' user processes may map the same addresses; the first vCPU counts. A table that several entries of the same level name is
/// followed once, by the lowest address, so that the work is bounded by the guest's memory.
///
/// # Errors
///
/// There are more mappings than a core can have, or it is to stop.
pub(super) fn segments(
    vcpus: &[Registers],
    memory: &GuestRam,
    ranges: &[Range<u64>],
    stop: Stop<'_>,
) -> Result<Vec<Segment>, InspectError> {
    let mut walk =
        Walk { memory, ranges, stop, seen: BTreeSet::new(), roots: BTreeSet::new(), found: Vec::new() };
    // Those of a nested guest are in its own memory.
    for vcpu in vcpus.iter().filter(|vcpu| !vcpu.is_in_nested_guest()) {
        walk.root(&vcpu.paging)?;
    }
    Ok(walk.found)
}

struct Walk<'a> {
    memory: &'a GuestRam,
    ranges: &'a [Range<u64>],
    stop: Stop<'a>,
    /// Tables that were followed.
    seen: BTreeSet<Table>,
    /// The linear addresses of entries at the top that were followed.
    roots: BTreeSet<u64>,
    found: Vec<Segment>,
}

impl Walk<'_> {
    /// Follows the entries at the top, except for those where another vCPU had one.
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

#[cfg(test)]
#[path = "paging_test.rs"]
mod tests;
