//! Maps guest RAM: decides on the size of its pages, and when they are allocated.
#![expect(unsafe_code, reason = "tells the kernel how guest memory will be used")]

use std::{fs::File, io, ops::Range};

use arch::{
    boot::MemoryMap,
    layout::HUGE_PAGE,
    memory::{GuestRam, Region},
};
use rustix::mm::Advice;
use vm_memory::{
    FileOffset, GuestAddress, GuestRegionCollectionError, MmapRegion, VolatileMemory,
    mmap::{FromRangesError, MmapRegionError},
};

use crate::{config::MemoryConfig, size::Size};

const HUGE_PAGE_LEN: usize = 2 << 20;

/// Reasons why there is no memory for the guest.
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
    /// The pages can't be allocated in advance.
    #[error("--memory prefault=on: can't allocate {}", Size(*.0))]
    Prefault(u64, #[source] io::Error),
    /// Addresses that wrap around.
    #[error("memory regions")]
    Region(#[from] FromRangesError),
    /// Addresses that overlap.
    #[error("memory regions")]
    Regions(#[from] GuestRegionCollectionError),
}

/// Maps zeroed RAM for every region of `map`.
///
/// Without `hugepages`, the kernel is asked for transparent huge pages, which save nested guests most of their page-table walks; but not
/// below 2 MiB, where a small machine would pay for zeroing memory that it never uses.
///
/// # Errors
///
/// The host does not have this much memory, or not enough huge pages.
pub fn map(map: &MemoryMap, config: &MemoryConfig) -> Result<GuestRam, MemoryError> {
    map_ranges(&map.ram, config)
}

/// Maps zeroed RAM at these addresses.
///
/// # Errors
///
/// The same as with [`map`], or the ranges overlap.
pub(crate) fn map_ranges(
    ranges: &[(GuestAddress, usize)],
    config: &MemoryConfig,
) -> Result<GuestRam, MemoryError> {
    let regions = ranges.iter().map(|&(base, len)| region(base, len, config)).collect::<Result<_, _>>()?;
    Ok(GuestRam::new(regions)?)
}

/// Maps every region of `map` from `file`. `place` returns the offset for a region's address and length. Pages that are written to are
/// copied, 4 KiB each; the file does not change.
///
/// # Errors
///
/// The file does not contain a region, or the host can't map it.
pub(crate) fn map_file(
    map: &MemoryMap,
    file: &File,
    place: impl Fn(u64, u64) -> anyhow::Result<u64>,
) -> anyhow::Result<GuestRam> {
    let regions = map.ram.iter().map(|&(base, len)| {
        let place = FileOffset::new(file.try_clone()?, place(base.0, len as u64)?);
        let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
        let mapping = MmapRegion::build(Some(place), len, libc::PROT_READ | libc::PROT_WRITE, flags)?;
        Ok(Region::new(mapping, 0..len, base)?)
    });
    Ok(GuestRam::new(regions.collect::<anyhow::Result<_>>()?)?)
}

fn region(base: GuestAddress, len: usize, config: &MemoryConfig) -> Result<Region, MemoryError> {
    let (mapping, window) = mapping(len, config.hugepages).map_err(|source| {
        if config.hugepages {
            MemoryError::HugePages(config.size.0, source)
        } else {
            MemoryError::Reserve(config.size.0, source)
        }
    })?;
    if !config.hugepages {
        let from = if base.0 == 0 { HUGE_PAGE_LEN.min(len) } else { 0 };
        if let Err(error) = advise(&mapping, window.start + from..window.end, Advice::LinuxHugepage) {
            log::debug!("no transparent huge pages: {error}");
        }
    }
    if config.prefault {
        advise(&mapping, window.clone(), Advice::LinuxPopulateWrite)
            .map_err(|source| MemoryError::Prefault(config.size.0, source))?;
    }
    Ok(Region::new(mapping, window, base)?)
}

/// Maps anonymous memory, and finds `len` bytes in it that begin on a 2 MiB boundary: KVM can use a huge page only if the host's and the
/// guest's addresses agree in the lower bits. The rest is never touched, and costs nothing.
fn mapping(len: usize, huge: bool) -> io::Result<(MmapRegion, Range<usize>)> {
    let (flags, slack) = if huge { (libc::MAP_HUGETLB, 0) } else { (0, HUGE_PAGE_LEN) };
    let total = len.checked_add(slack).ok_or(io::ErrorKind::OutOfMemory)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
    let mapping = MmapRegion::build(None, total, libc::PROT_READ | libc::PROT_WRITE, flags);
    let mapping: MmapRegion = mapping.map_err(|error| match error {
        MmapRegionError::Mmap(error) => error,
        error => io::Error::other(error),
    })?;
    let head = mapping.as_ptr().align_offset(HUGE_PAGE_LEN).min(slack);
    Ok((mapping, head..head + len))
}

fn advise(mapping: &MmapRegion, range: Range<usize>, advice: Advice) -> io::Result<()> {
    let slice = mapping.get_slice(range.start, range.len()).map_err(io::Error::other)?;
    // SAFETY: the range lies in the mapping, and neither advice given here changes its contents.
    Ok(unsafe { rustix::mm::madvise(slice.ptr_guard_mut().as_ptr().cast(), slice.len(), advice) }?)
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod tests;
