//! Guest RAM, as all crates use it: [`GuestRam`].
//!
//! ```text
//! GuestRam, GuestRam, ... --Arc--> Region --owns--> MmapRegion: unmapped with the last GuestRam
//!     VolatileSlice<'a> ---borrows---^
//! ```

mod written;

use std::{ops::Range, sync::Arc};

pub use self::written::Written;

use vm_memory::{
    FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryError, GuestMemoryRegion,
    GuestMemoryRegionBytes, GuestRegionCollection, GuestRegionCollectionError, GuestUsize,
    MemoryRegionAddress, MmapRegion, VolatileMemory, VolatileSlice,
    mmap::{FromRangesError, MmapRegionError},
};

/// RAM by guest-physical address. Clones share it, and the last one that is dropped unmaps it: code that can reach guest memory keeps it
/// mapped.
#[derive(Clone, Debug, Default)]
pub struct GuestRam {
    regions: GuestRegionCollection<Region>,
    written: Arc<Written>,
}

impl GuestRam {
    /// Makes RAM of `regions`, which are in the order of their addresses.
    ///
    /// # Errors
    ///
    /// There are no regions, they overlap, or they are not in order.
    pub fn new(regions: Vec<Region>) -> Result<Self, GuestRegionCollectionError> {
        Ok(Self { regions: GuestRegionCollection::from_regions(regions)?, written: Arc::default() })
    }

    /// The pages that devices write to. The guest's own writes are not noted in it, nor is anything that is loaded before the guest runs.
    #[must_use]
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// Notes that `slice`, a part of this RAM, was written to.
    #[inline]
    pub fn wrote_to(&self, slice: &VolatileSlice<'_>) {
        if self.written.is_on() {
            self.note(slice);
        }
    }

    #[cold]
    fn note(&self, slice: &VolatileSlice<'_>) {
        let at = slice.ptr_guard().as_ptr().addr();
        for region in self.regions.iter() {
            if let Some(offset) = at.checked_sub(region.userspace_addr())
                && offset < region.len
            {
                return self.written.add(region.base.0 + offset as u64, slice.len() as u64);
            }
        }
    }

    /// Maps zeroed RAM, in pages of any size that the host chooses: good enough for a small guest and for tests.
    ///
    /// # Errors
    ///
    /// The host is out of memory, or [`GuestRam::new`] refuses the ranges.
    pub fn from_ranges(ranges: &[(GuestAddress, usize)]) -> Result<Self, FromRangesError> {
        let region = |&(base, len)| Region::new(MmapRegion::new(len)?, 0..len, base);
        let regions = ranges.iter().map(region).collect::<Result<_, FromRangesError>>()?;
        Ok(Self::new(regions)?)
    }
}

impl GuestMemoryBackend for GuestRam {
    type R = Region;

    fn num_regions(&self) -> usize {
        self.regions.num_regions()
    }

    fn find_region(&self, address: GuestAddress) -> Option<&Region> {
        self.regions.find_region(address)
    }

    fn iter(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter()
    }
}

/// A range of guest-physical addresses that owns the memory behind it.
///
/// The memory is a part of a mapping, so that it can begin on the boundary of a huge page, at any place where the kernel puts the mapping.
#[derive(Debug)]
pub struct Region {
    mapping: MmapRegion,
    offset: usize,
    len: usize,
    base: GuestAddress,
}

impl Region {
    /// Makes a region at `base` of `window`, a range of offsets in `mapping`.
    ///
    /// # Errors
    ///
    /// The window is empty or not in the mapping, or the region would end beyond the last address.
    pub fn new(
        mapping: MmapRegion,
        window: Range<usize>,
        base: GuestAddress,
    ) -> Result<Self, FromRangesError> {
        let (offset, len) = (window.start, window.len());
        if len == 0 || window.end > mapping.size() {
            return Err(MmapRegionError::InvalidOffsetLength.into());
        }
        base.0.checked_add(len as u64).ok_or(FromRangesError::InvalidGuestRegion)?;
        Ok(Self { mapping, offset, len, base })
    }

    /// The address of the region's first byte in this process. Code that gives it to KVM must keep a `GuestRam` for as long as a vCPU can
    /// run.
    #[must_use]
    pub fn userspace_addr(&self) -> usize {
        self.mapping.as_ptr().expose_provenance() + self.offset
    }
}

impl GuestMemoryRegion for Region {
    type B = ();

    fn len(&self) -> GuestUsize {
        self.len as u64
    }

    fn start_addr(&self) -> GuestAddress {
        self.base
    }

    fn bitmap(&self) {}

    fn file_offset(&self) -> Option<&FileOffset> {
        self.mapping.file_offset()
    }

    fn get_host_address(&self, address: MemoryRegionAddress) -> Result<*mut u8, GuestMemoryError> {
        Ok(self.get_slice(address, 1)?.ptr_guard_mut().as_ptr())
    }

    fn get_slice(
        &self,
        offset: MemoryRegionAddress,
        count: usize,
    ) -> Result<VolatileSlice<'_>, GuestMemoryError> {
        let offset = usize::try_from(offset.0).map_err(|_| GuestMemoryError::InvalidBackendAddress)?;
        Ok(self.mapping.get_slice(self.offset, self.len)?.subslice(offset, count)?)
    }
}

impl GuestMemoryRegionBytes for Region {}

#[cfg(test)]
#[path = "memory_test.rs"]
mod tests;
