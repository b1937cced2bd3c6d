//! VMX as its capability MSRs describe it: SDM 3D, "VMX Capability Reporting Facility".

use std::collections::BTreeMap;

use bitflags::bitflags;

use super::msr;

bitflags! {
    /// SDM 3C, "Primary Processor-Based VM-Execution Controls": only those that nvmm reads.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PrimaryControls: u32 {
        /// Activates the secondary controls.
        const ACTIVATE_SECONDARY_CONTROLS = 1 << 31;
    }
}

bitflags! {
    /// SDM 3C, "Secondary Processor-Based VM-Execution Controls", those that make a nested guest fast, by the names that QEMU gives them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SecondaryControls: u32 {
        /// Two-dimensional paging.
        const EPT = 1 << 1;
        /// TLB entries tagged by guest.
        const VPID = 1 << 5;
        /// Real mode and unpaged protected mode run natively.
        const UNRESTRICTED_GUEST = 1 << 7;
        /// APIC-register virtualization.
        const APICV_REGISTER = 1 << 8;
        /// Virtual-interrupt delivery.
        const APICV_VID = 1 << 9;
        /// VMCS shadowing: a nested hypervisor reads and writes its VMCS without exits.
        const SHADOW_VMCS = 1 << 14;
        /// Page-modification logging.
        const PML = 1 << 17;
        /// A guest's TSC may run at another rate.
        const TSC_SCALING = 1 << 25;
    }
}

/// The value of a control MSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Bits that are 1 here are controls that must be 1.
    pub must_be_one: u32,
    /// Bits that are 0 here are controls that must be 0.
    pub may_be_one: u32,
}

impl From<u64> for Controls {
    fn from(value: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        Self { must_be_one: u32::from_le_bytes([a, b, c, d]), may_be_one: u32::from_le_bytes([e, f, g, h]) }
    }
}

impl From<Controls> for u64 {
    fn from(controls: Controls) -> Self {
        Self::from(controls.may_be_one) << 32 | Self::from(controls.must_be_one)
    }
}

impl Controls {
    /// The controls that can be either 0 or 1.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.may_be_one & !self.must_be_one
    }

    /// Makes a control free, or fixes it: at 1 if it is in `default1`, else at 0.
    pub fn set_free(&mut self, bit: u32, free: bool, default1: u32) {
        let mask = 1 << bit;
        let fixed_at_1 = !free && default1 & mask != 0;
        self.must_be_one = self.must_be_one & !mask | if fixed_at_1 { mask } else { 0 };
        self.may_be_one = self.may_be_one & !mask | if free || fixed_at_1 { mask } else { 0 };
    }
}

/// Bits of CR4, each with a feature that brings it.
const CR4: [(u32, &str); 23] = [
    (0, "vme"),
    (1, "vme"),
    (2, "tsc"),
    (3, "de"),
    (4, "pse"),
    (5, "pae"),
    (6, "mce"),
    (7, "pge"),
    (9, "fxsr"),
    (10, "sse"),
    (11, "umip"),
    (12, "la57"),
    (13, "vmx"),
    (14, "smx"),
    (16, "fsgsbase"),
    (17, "pcid"),
    (18, "xsave"),
    (20, "smep"),
    (21, "smap"),
    (22, "pku"),
    (23, "cet-ss"),
    (23, "cet-ibt"),
    (28, "lam"),
];
/// CR4.PCE, which every CPU with VMX has.
const CR4_PCE: u64 = 1 << 8;

/// IA32_VMX_CR4_FIXED1: the bits of CR4 that may be 1 in VMX operation. KVM derives it from the guest's CPUID, and takes no other value.
pub(super) fn cr4_fixed1(has: impl Fn(&str) -> bool) -> u64 {
    CR4.iter().filter(|(_, feature)| has(feature)).fold(CR4_PCE, |bits, (bit, _)| bits | 1 << bit)
}

/// The secondary controls that a hypervisor may switch on, or `None` if these MSRs describe no VMX.
#[must_use]
pub fn secondary_controls(msrs: &BTreeMap<u32, u64>) -> Option<SecondaryControls> {
    msrs.get(&msr::VMX_BASIC)?;
    let may = |index| msrs.get(&index).map_or(0, |&value| Controls::from(value).may_be_one);
    let primary = PrimaryControls::from_bits_retain(may(msr::VMX_PROCBASED_CTLS));
    if !primary.contains(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS) {
        return Some(SecondaryControls::empty());
    }
    Some(SecondaryControls::from_bits_truncate(may(msr::VMX_PROCBASED_CTLS2)))
}

#[cfg(test)]
#[path = "vmx_test.rs"]
mod tests;
