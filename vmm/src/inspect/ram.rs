//! Ranges of physical addresses that are RAM.

use std::ops::Range;

use arch::memory::GuestRam;
use vm_memory::{Address, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use super::error::InspectError;

/// The ranges that are RAM.
pub(super) fn ranges(memory: &GuestRam) -> Vec<Range<u64>> {
    let range = |start: u64, len: u64| start..start + len;
    memory.iter().map(|region| range(region.start_addr().raw_value(), region.len())).collect()
}

/// The error for an address that is not RAM.
pub(super) fn missing(memory: &GuestRam, address: u64) -> InspectError {
    let ranges =
        ranges(memory).into_iter().map(|Range { start, end }| format!("{start:#x} to {:#x}", end - 1));
    InspectError::NotRam { address, ram: ranges.collect::<Vec<_>>().join(" and ") }
}

/// Checks that `size` bytes from `start` on are RAM.
///
/// # Errors
///
/// Some of the addresses are not RAM.
pub(super) fn check(memory: &GuestRam, start: u64, size: u64) -> Result<(), InspectError> {
    let end = start.checked_add(size).ok_or(InspectError::Wraps { start, size })?;
    let mut address = start;
    while address < end {
        let Some(region) = memory.find_region(GuestAddress(address)) else {
            return Err(missing(memory, address));
        };
        address = region.last_addr().raw_value() + 1;
    }
    Ok(())
}
