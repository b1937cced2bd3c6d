//! The state in which a kernel starts: memory map, boot parameters, and the registers of the first vCPU.
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
    info::{BootInfo, Framebuffer},
    lapic::set_lint,
    linux::linux64,
    memory_map::{E820Entry, E820Type, MemoryMap, firmware_memory_map, memory_map},
    pvh::pvh,
};
use crate::cpu::{feature::FeatureId, msr, profile::CpuProfile};

/// IA32_MISC_ENABLE as a processor's reset leaves it: with fast strings, without which Linux drops `rep_good` and `erms`. A guest can run
/// without it, only less well.
pub const MISC_ENABLE: (u32, u64) = (msr::MISC_ENABLE, 1);

/// The memory types that firmware sets up on every vCPU, for a kernel that is started without firmware. A guest can run without them, only
/// less well.
#[must_use]
pub fn mtrrs(cpu: &CpuProfile) -> Vec<(u32, u64)> {
    let has_mtrrs = FeatureId::find("mtrr").is_some_and(|mtrr| cpu.features().contains(mtrr));
    if has_mtrrs { mtrr::msrs(cpu.physical_address_width()) } else { Vec::new() }
}

#[cfg(test)]
#[path = "boot_test.rs"]
mod tests;
