//! What a kernel finds when it starts: memory map, boot parameters, and the registers of the first vCPU.
//!
//! The other vCPUs wait for INIT and SIPI, which the in-kernel local APIC answers.

mod entry;
mod error;
mod info;
mod lapic;
mod linux;
mod memory_map;
mod mtrr;
mod pvh;

pub use self::{
    entry::{Entry, Protocol},
    error::BootError,
    info::BootInfo,
    lapic::set_lint,
    linux::linux64,
    memory_map::{E820Entry, E820Type, MemoryMap, memory_map},
    pvh::pvh,
};
use crate::cpu::{feature::FeatureId, msr, profile::CpuProfile};

/// MSRs that firmware would have set, the same for every vCPU. A system does without them, if not as well.
///
/// IA32_MISC_ENABLE has fast strings, without which Linux drops `rep_good` and `erms`. The rest is about memory types.
#[must_use]
pub fn msrs(cpu: &CpuProfile) -> Vec<(u32, u64)> {
    let has_mtrrs = FeatureId::find("mtrr").is_some_and(|mtrr| cpu.features().contains(mtrr));
    let mtrrs = if has_mtrrs { mtrr::msrs(cpu.physical_address_width()) } else { Vec::new() };
    [(msr::MISC_ENABLE, 1)].into_iter().chain(mtrrs).collect()
}

#[cfg(test)]
#[path = "boot_test.rs"]
mod tests;
