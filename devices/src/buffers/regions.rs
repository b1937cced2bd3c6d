//! The regions of guest memory, for a worker's look-ups.

use arch::memory::GuestRam;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion, MemoryRegionAddress, VolatileSlice};

/// The regions of guest memory, resolved once. There are few: a look-up is a comparison or two.
#[derive(Debug)]
pub(crate) struct Regions<'m> {
    memory: &'m GuestRam,
    /// The regions by guest-physical address.
    regions: Vec<(u64, VolatileSlice<'m>)>,
}

impl<'m> Regions<'m> {
    pub(crate) fn new(memory: &'m GuestRam) -> Self {
        let whole = |region: &'m _| {
            let len = usize::try_from(GuestMemoryRegion::len(region)).ok()?;
            let slice = GuestMemoryRegion::get_slice(region, MemoryRegionAddress(0), len).ok()?;
            Some((GuestMemoryRegion::start_addr(region).0, slice))
        };
        Self { memory, regions: memory.iter().filter_map(whole).collect() }
    }

    /// The memory that the regions belong to.
    pub(crate) fn memory(&self) -> &'m GuestRam {
        self.memory
    }

    /// The `len` bytes at `address`; `None` if they are not all in one region.
    pub(crate) fn slice(&self, address: u64, len: usize) -> Option<VolatileSlice<'m>> {
        for (start, region) in &self.regions {
            if let Some(offset) = address.checked_sub(*start)
                && offset < region.len() as u64
            {
                return region.subslice(usize::try_from(offset).ok()?, len).ok();
            }
        }
        None
    }

    /// The `len` bytes at `address`, which may be in adjacent regions. The last item is `None` if memory ends before.
    pub(crate) fn slices(&self, address: u64, len: usize) -> impl Iterator<Item = Option<VolatileSlice<'m>>> {
        self.memory.get_slices(GuestAddress(address), len).map(Result::ok)
    }
}
