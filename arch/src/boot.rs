//! What a kernel finds when it starts: memory map, boot parameters, and the registers of the first vCPU.
//!
//! The other vCPUs wait for INIT and SIPI, which the in-kernel local APIC answers.

mod entry;
mod lapic;
mod linux;
mod memory_map;
mod mtrr;
mod pvh;

use std::ops::Range;

use vm_memory::GuestMemoryError;

pub use self::{
    entry::{Entry, Protocol},
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

/// What both boot protocols tell the kernel. Command line and initramfs are in memory already.
#[derive(Clone, Debug)]
pub struct BootInfo<'a> {
    /// Guest memory.
    pub map: &'a MemoryMap,
    /// Where the initramfs lies.
    pub initrd: Option<Range<u64>>,
    /// Where the ACPI RSDP is.
    pub rsdp: u64,
}

/// Why a guest can't be made ready to boot.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Nothing would be left for a kernel.
    #[error("{0} bytes of memory are not enough: more than 1 MiB is needed")]
    MemoryTooSmall(u64),
    /// Guest memory is made of pages.
    #[error("{0} bytes of memory are not a multiple of 4096")]
    MemoryUnaligned(u64),
    /// Past what addresses can say.
    #[error("{0} bytes of memory are more than an x86 machine can address")]
    MemoryTooLarge(u64),
    /// Not in guest memory.
    #[error("can't write the {what} to guest memory")]
    Write {
        /// What didn't fit.
        what: &'static str,
        /// Why.
        source: GuestMemoryError,
    },
}

impl BootError {
    fn writing(what: &'static str) -> impl Fn(GuestMemoryError) -> Self {
        move |source| Self::Write { what, source }
    }
}

#[cfg(test)]
#[path = "boot_test.rs"]
mod tests;
