use std::{collections::BTreeMap, fmt::Debug, io, ops::Range, sync::Arc};

use arch::layout::PAGE;
use devices::{bus::Part, chipset::Rom, once::Once, pci::BarMemory};

use super::placed::{FunctionBar, Placed};

/// Memory that the guest accesses without exits.
pub(crate) trait MemorySlots: Send + Sync + Debug {
    /// Maps `range` of `memory` at `address`, where there must be no other slot, and keeps the memory until the slot is deleted. Everything
    /// is page-aligned. Returns the slot's number.
    fn create(&self, address: u64, memory: &Arc<BarMemory>, range: &Range<u64>) -> io::Result<u32>;

    /// Maps a chip at `address`, where there must be no other slot, and keeps it until the slot is deleted: only writes cause exits.
    /// Returns the slot's number.
    fn create_read_only(&self, address: u64, chip: &Arc<Rom>) -> io::Result<u32>;

    /// Deletes a slot.
    fn delete(&self, slot: u32) -> io::Result<()>;
}

/// The parts of memory BARs that KVM maps.
#[derive(Debug)]
pub(super) struct Mapped {
    kvm: Arc<dyn MemorySlots>,
    /// The slots by address.
    slots: BTreeMap<u64, Slot>,
    /// Logged once when KVM refuses to map something.
    said_refused: Once,
}

/// A slot, and the part of a BAR that it maps.
#[derive(Debug)]
struct Slot {
    number: u32,
    bar: FunctionBar,
    range: Range<u64>,
}

impl Mapped {
    /// Makes it without any memory mapped.
    pub(super) fn new(kvm: Arc<dyn MemorySlots>) -> Self {
        Self { kvm, slots: BTreeMap::new(), said_refused: Once::default() }
    }

    /// Maps exactly the whole visible pages of memory BARs. The rest is accessed with exits, and so is what KVM refuses.
    ///
    /// Old slots are deleted before new ones are made, since KVM refuses overlapping slots. In between, accesses cause exits.
    pub(super) fn follow(&mut self, bars: &BTreeMap<FunctionBar, Placed>) {
        let wanted: BTreeMap<_, _> = bars.iter().flat_map(|(&bar, placed)| wanted(bar, placed)).collect();
        let kvm = &self.kvm;
        self.slots.retain(|at, slot| {
            let keep = wanted.get(at).is_some_and(|(bar, range, _)| (bar, range) == (&slot.bar, &slot.range));
            if keep {
                return true;
            }
            let deleted = kvm.delete(slot.number);
            if let Err(error) = &deleted {
                log::warn!("KVM_SET_USER_MEMORY_REGION: the memory at {at:#x} can't be taken away: {error}");
            }
            // If one can't be deleted, the next change tries again.
            deleted.is_err()
        });
        for (at, (bar, range, memory)) in wanted {
            if self.slots.contains_key(&at) {
                continue;
            }
            match self.kvm.create(at, memory, &range) {
                Ok(number) => {
                    self.slots.insert(at, Slot { number, bar, range });
                }
                Err(error) => self.said_refused.info(format_args!(
                    "KVM does not map a PCI function's memory at {at:#x}, and each access to it costs an exit: KVM_SET_USER_MEMORY_REGION: {error}"
                )),
            }
        }
    }
}

/// The visible pages of a BAR with memory, by address: the BAR, the offsets in it, and the memory.
fn wanted(
    bar: FunctionBar,
    placed: &Placed,
) -> impl Iterator<Item = (u64, (FunctionBar, Range<u64>, &Arc<BarMemory>))> {
    let whole_pages = move |part: &Part| {
        let start = part.first.checked_next_multiple_of(PAGE)?;
        // The last page of the address space is left out: its end can't be expressed, and no guest accesses it.
        let end = part.last.checked_add(1)? / PAGE * PAGE;
        // A BAR of a page or more is page-aligned, so these are whole pages of the memory, too.
        let range = start.checked_sub(placed.base)?..end.checked_sub(placed.base)?;
        (start < end).then_some((start, range))
    };
    placed.memory.iter().flat_map(move |memory| {
        let pages = placed.parts.iter().filter_map(whole_pages);
        pages.map(move |(at, range)| (at, (bar, range, memory)))
    })
}

#[cfg(test)]
#[path = "mapped_test.rs"]
mod tests;
