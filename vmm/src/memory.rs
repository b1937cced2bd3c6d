//! Guest RAM in the VMM's address space.
#![expect(unsafe_code, reason = "maps and unmaps guest memory")]

use std::{ffi::c_void, fmt, io, ptr};

use arch::boot::MemoryMap;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

use crate::{config::MemoryConfig, size::Size};

/// The processor's page.
pub const PAGE: u64 = 4 << 10;
/// The page that one page-directory entry maps.
pub const HUGE_PAGE: u64 = 2 << 20;

/// Why there is no memory for the guest.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The host refuses the mapping.
    #[error("--memory: the host can't reserve {}; give less, or free some", Size(*.0))]
    Reserve(u64, #[source] io::Error),
    /// The pool of huge pages is too small.
    #[error(
        "--memory hugepages=on: no {n} free huge pages of 2 MiB; add them with `sysctl vm.nr_hugepages=N`",
        n = .0 / HUGE_PAGE
    )]
    HugePages(u64, #[source] io::Error),
    /// Pages can't be allocated before the start.
    #[error("--memory prefault=on: can't allocate {}", Size(*.0))]
    Prefault(u64, #[source] io::Error),
    /// Addresses that overlap or wrap.
    #[error("memory regions")]
    Regions(#[from] vm_memory::GuestRegionCollectionError),
}

/// Guest RAM. [`Memory::guest`] is how everyone reaches it, and dropping the `Memory` unmaps it: the machine drops it
/// last, when every thread that had a copy is gone.
pub struct Memory {
    guest: GuestMemoryMmap,
    _mappings: Vec<Mapping>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("mappings", &self._mappings).finish()
    }
}

impl Memory {
    /// Maps zeroed RAM for every region of `map`.
    ///
    /// Without `hugepages` the kernel is asked for transparent huge pages, which save nested guests most of their page-table
    /// walks; but not below 2 MiB, where a machine that only boots would pay for zeroing memory that it never uses.
    ///
    /// # Errors
    ///
    /// The host has not that much memory, or not that many huge pages.
    pub fn new(map: &MemoryMap, config: &MemoryConfig) -> Result<Self, MemoryError> {
        let mut regions = Vec::new();
        let mut mappings = Vec::new();
        for &(base, len) in &map.ram {
            let mapping = Mapping::new(len, config.hugepages).map_err(|source| {
                if config.hugepages {
                    MemoryError::HugePages(config.size.0, source)
                } else {
                    MemoryError::Reserve(config.size.0, source)
                }
            })?;
            if !config.hugepages {
                mapping.advise_huge(if base.0 == 0 { HUGE_PAGE } else { 0 });
            }
            if config.prefault {
                mapping.prefault().map_err(|source| MemoryError::Prefault(config.size.0, source))?;
            }
            regions.push(mapping.region(base).ok_or(vm_memory::GuestRegionCollectionError::NoMemoryRegion)?);
            mappings.push(mapping);
        }
        Ok(Self { guest: GuestMemoryMmap::from_regions(regions)?, _mappings: mappings })
    }

    /// The regions by guest-physical address.
    #[must_use]
    pub fn guest(&self) -> &GuestMemoryMmap {
        &self.guest
    }
}

/// Anonymous memory on a 2 MiB boundary: KVM can use a huge page only where host and guest addresses agree below that.
#[derive(Debug)]
struct Mapping {
    address: *mut c_void,
    len: usize,
}

// SAFETY: the address is only used to advise and unmap.
unsafe impl Send for Mapping {}

impl Mapping {
    const PROT: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

    fn new(len: usize, huge: bool) -> io::Result<Self> {
        let align = usize::try_from(HUGE_PAGE).map_err(io::Error::other)?;
        let flags = if huge { MapFlags::PRIVATE | MapFlags::HUGETLB } else { MapFlags::PRIVATE };
        let slack = if huge { 0 } else { align };
        let total = len.checked_add(slack).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), total, Self::PROT, flags) }?;
        let head = start.align_offset(align).min(slack);
        let address = start.wrapping_byte_add(head);
        let mapping = Self { address, len };
        unmap(start, head);
        unmap(address.wrapping_byte_add(len), slack - head);
        Ok(mapping)
    }

    fn advise_huge(&self, from: u64) {
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.len);
        let start = self.address.wrapping_byte_add(from);
        // SAFETY: the range lies in this mapping, and the advice does not change what it holds.
        let advised = unsafe { rustix::mm::madvise(start, self.len - from, Advice::LinuxHugepage) };
        if let Err(error) = advised {
            log::debug!("no transparent huge pages: {error}");
        }
    }

    fn prefault(&self) -> io::Result<()> {
        // SAFETY: the range is this mapping, and populating it does not change what it holds.
        Ok(unsafe { rustix::mm::madvise(self.address, self.len, Advice::LinuxPopulateWrite) }?)
    }

    fn region(&self, base: GuestAddress) -> Option<GuestRegionMmap> {
        let prot = i32::try_from(Self::PROT.bits()).ok()?;
        // SAFETY: the range is this mapping, which outlives the region: see `Memory`.
        let region = unsafe {
            MmapRegion::build_raw(
                self.address.cast(),
                self.len,
                prot,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            )
        };
        GuestRegionMmap::new(region.ok()?, base)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        unmap(self.address, self.len);
    }
}

fn unmap(address: *mut c_void, len: usize) {
    if len > 0 {
        // SAFETY: callers give a part of a mapping of theirs that nothing uses any more.
        let unmapped = unsafe { rustix::mm::munmap(address, len) };
        if let Err(error) = unmapped {
            log::warn!("munmap of {len:#x} bytes: {error}");
        }
    }
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod tests;
