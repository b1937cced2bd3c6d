//! Pages that the guest gives up through its balloon, and that the host takes back.
//!
//! In anonymous memory, `madvise` is enough. In a mapping of a file, which is a snapshot's memory, a discarded page would show the file's
//! contents again, so anonymous memory is mapped over it. Each such place may cost the host's kernel two more mappings, whose number per
//! process is limited, so there are at most [`MOST_PLACES`].
#![expect(unsafe_code, reason = "takes pages of guest memory away")]

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use arch::memory::GuestRam;
use devices::virtio::balloon::Reclaim;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
use vm_memory::{Bytes, GuestMemoryBackend, GuestMemoryRegion, VolatileSlice};

const PAGE_LEN: usize = 4 << 10;
static ZEROS: [u8; PAGE_LEN] = [0; PAGE_LEN];

/// Their mappings are at most half of the 65530 that vm.max_map_count allows by default.
const MOST_PLACES: usize = 16_384;

/// Returns the pages that the guest gives up to the kernel.
#[derive(Debug)]
pub(crate) struct TakenBack {
    /// The regions that are mapped from a file, as addresses of this process.
    of_file: Vec<Range<usize>>,
    places: Mutex<Places>,
}

/// Address ranges in file mappings that were replaced by anonymous memory.
#[derive(Debug)]
struct Places {
    /// Their ends by their starts. No two are adjacent.
    ranges: BTreeMap<usize, usize>,
    /// The number of places that may still be added.
    left: usize,
}

impl TakenBack {
    /// Prepares for the pages of `memory`.
    pub(crate) fn new(memory: &GuestRam) -> Self {
        Self::with_places(memory, MOST_PLACES)
    }

    fn with_places(memory: &GuestRam, most: usize) -> Self {
        let of_file = memory.iter().filter(|region| region.file_offset().is_some());
        let of_file = of_file.filter_map(|region| {
            let start = region.userspace_addr();
            Some(start..start + usize::try_from(region.len()).ok()?)
        });
        let places = Places { ranges: BTreeMap::new(), left: most };
        Self { of_file: of_file.collect(), places: Mutex::new(places) }
    }

    /// Takes back pages that are mapped from a file.
    fn reclaim_of_file(&self, pages: &VolatileSlice<'_>) -> io::Result<()> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let start = pages.ptr_guard_mut().as_ptr().expose_provenance();
        let range = start..start + pages.len();
        if places.has(&range) {
            return discard(pages);
        }
        if !places.has_room(&range) {
            (0..pages.len())
                .step_by(PAGE_LEN)
                .try_for_each(|at| pages.write_slice(&ZEROS, at))
                .map_err(io::Error::other)?;
            return Err(io::Error::other(
                "they are zeroed only: with --restore-memory map, it takes them back from so many places at most",
            ));
        }
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the pages lie in the slice, whose mapping stays alive, and keep their access rights. They then read as zeros, as if
        // the guest had written to them, which it may do at any time.
        unsafe { mmap_anonymous(pages.ptr_guard_mut().as_ptr().cast(), pages.len(), rights, flags) }?;
        places.add(range);
        Ok(())
    }
}

impl Reclaim for TakenBack {
    fn reclaim(&self, memory: &VolatileSlice<'_>) -> io::Result<()> {
        let start = memory.ptr_guard_mut().as_ptr();
        let head = start.align_offset(PAGE_LEN);
        let len = memory.len().saturating_sub(head) / PAGE_LEN * PAGE_LEN;
        if len == 0 {
            return Ok(());
        }
        let pages = memory.subslice(head, len).map_err(io::Error::other)?;
        let address = start.expose_provenance() + head;
        if self.of_file.iter().any(|region| region.contains(&address)) {
            return self.reclaim_of_file(&pages);
        }
        discard(&pages)
    }
}

/// Takes back pages of anonymous memory.
fn discard(pages: &VolatileSlice<'_>) -> io::Result<()> {
    // SAFETY: the pages lie in the slice. They then read as zeros, as if the guest had written to them, which it may do at any time.
    Ok(unsafe { madvise(pages.ptr_guard_mut().as_ptr().cast(), pages.len(), Advice::LinuxDontNeed) }?)
}

impl Places {
    /// Returns whether all of `range` is anonymous.
    fn has(&self, range: &Range<usize>) -> bool {
        self.ranges.range(..=range.start).next_back().is_some_and(|(_, end)| *end >= range.end)
    }

    /// Returns whether `range` can be added: it extends a place, or there may be another one.
    fn has_room(&self, range: &Range<usize>) -> bool {
        self.left > 0 || self.touching(range).next().is_some()
    }

    /// The places that `range` touches or overlaps, the last first.
    fn touching(&self, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let from = range.start;
        let before = self.ranges.range(..=range.end).rev();
        before.map(|(start, end)| *start..*end).take_while(move |place| place.end >= from)
    }

    /// Records that `range` is anonymous. A place that is merged with another is still counted, as it may remain a separate mapping.
    fn add(&mut self, range: Range<usize>) {
        let touching: Vec<_> = self.touching(&range).collect();
        if touching.is_empty() {
            self.left = self.left.saturating_sub(1);
        }
        let mut whole = range;
        for place in touching {
            self.ranges.remove(&place.start);
            whole = whole.start.min(place.start)..whole.end.max(place.end);
        }
        self.ranges.insert(whole.start, whole.end);
    }
}

#[cfg(test)]
#[path = "taken_back_test.rs"]
mod tests;
