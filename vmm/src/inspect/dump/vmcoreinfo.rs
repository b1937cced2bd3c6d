//! Finds the guest kernel's vmcoreinfo, which crash needs. The kernel keeps it in memory as an ELF note, for a crash kernel.
//!
//! The note is at the beginning of a page. If the guest runs guests, their notes are in its memory too. The right note is the one whose
//! `init_uts_ns` is at the address that the note gives, with the release that the note gives.

use arch::memory::GuestRam;
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, MemoryRegionAddress, VolatileMemory,
};

use super::super::{error::InspectError, file::Stop};

const PAGE: usize = 4 << 10;
/// The number of pages between two checks whether to stop.
const PAGES_AT_ONCE: usize = 16 << 10;
/// The note's header and name: the lengths of its name and description, its type, and `VMCOREINFO`, padded.
const HEAD: usize = 24;
const NAME: &[u8; 11] = b"VMCOREINFO\0";
/// Linux: `VMCOREINFO_BYTES`, the largest length of a description.
const MOST: u32 = 4 << 10;
/// Linux: `__START_KERNEL_map`, the beginning of the kernel's own addresses.
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// More bytes than `init_uts_ns` has up to its release, the third of its names, which have 65 bytes each.
const UTS_LEN: usize = 512;

/// Finds the description of the note, if there is one.
///
/// # Errors
///
/// The search has to stop.
pub(super) fn find(memory: &GuestRam, stop: Stop<'_>) -> Result<Option<Vec<u8>>, InspectError> {
    for region in memory.iter() {
        let pages = usize::try_from(region.len()).unwrap_or_default() / PAGE;
        let Ok(all) = region.get_slice(MemoryRegionAddress(0), pages * PAGE) else { continue };
        for page in 0..pages {
            if page % PAGES_AT_ONCE == 0 && stop() {
                return Err(InspectError::Stopped);
            }
            let mut head = [0; HEAD];
            let Ok(start) = all.get_slice(page * PAGE, HEAD) else { continue };
            start.copy_to(&mut head);
            let Some(len) = description_len(&head) else { continue };
            let mut description = vec![0; len];
            let address = region.start_addr().0 + (page * PAGE + HEAD) as u64;
            let read = memory.read_slice(&mut description, GuestAddress(address));
            if read.is_ok() && is_of_this_machine(&description, memory) {
                return Ok(Some(description));
            }
        }
    }
    Ok(None)
}

/// The length of the description, if a note with this beginning is vmcoreinfo's.
fn description_len(head: &[u8; HEAD]) -> Option<usize> {
    let word = |place: usize| head[place..].first_chunk().copied().map(u32::from_le_bytes);
    let [name_len, len, kind] = [word(0)?, word(4)?, word(8)?];
    let is_it = name_len as usize == NAME.len() && kind == 0 && head[12..].starts_with(NAME);
    usize::try_from(len).ok().filter(|_| is_it && (1..=MOST).contains(&len))
}

/// Returns whether this describes the kernel of this machine, and not that of a nested guest or an earlier one.
fn is_of_this_machine(description: &[u8], memory: &GuestRam) -> bool {
    let Ok(text) = std::str::from_utf8(description) else { return false };
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let found = || {
        let release = value("OSRELEASE").filter(|release| !release.is_empty())?;
        let address = u64::from_str_radix(value("SYMBOL(init_uts_ns)")?, 16).ok()?;
        let physical_base: i64 = value("NUMBER(phys_base)")?.parse().ok()?;
        let physical = address.wrapping_sub(KERNEL_MAP).wrapping_add_signed(physical_base);
        let mut names = [0; UTS_LEN];
        let read = memory.read(&mut names, GuestAddress(physical)).ok()?;
        let release = [release.as_bytes(), b"\0"].concat();
        Some(names[..read].windows(release.len()).any(|it| it == release))
    };
    found().unwrap_or_default()
}

#[cfg(test)]
#[path = "vmcoreinfo_test.rs"]
mod tests;
