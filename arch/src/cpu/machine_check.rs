//! Machine checks: SDM 3B, "Machine-Check Architecture".

use bitfield_struct::bitfield;

use super::{
    cpuid::{Cpuid, Leaf, Register},
    field::Field,
    host::HostCpu,
    signature::Signature,
    vendor::Manual,
};

const MCE: Field = Field::bit(0x1, Register::Edx, 7, "mce");
const MCA: Field = Field::bit(0x1, Register::Edx, 14, "mca");
/// The number of banks that QEMU gives.
const BANKS: u8 = 10;

/// IA32_MCG_CAP.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub(super) struct McgCap {
    /// The number of banks.
    pub(super) count: u8,
    /// IA32_MCG_CTL is there.
    pub(super) mcg_ctl_p: bool,
    #[bits(15)]
    __: u16,
    /// Software can recover from some errors.
    pub(super) mcg_ser_p: bool,
    #[bits(2)]
    __: u8,
    /// An error can be signalled to one logical processor alone.
    pub(super) mcg_lmce_p: bool,
    #[bits(36)]
    __: u64,
}

/// IA32_MCG_CAP of a CPU with these leaves, if it has machine checks: QEMU's value, as far as KVM supports it.
///
/// Local machine checks are only for a CPU that is passed through, as in QEMU: a named model has to be the same on hosts without them.
pub(super) fn mcg_cap(host: &HostCpu, cpuid: &Cpuid, passthrough: bool) -> Option<McgCap> {
    let offered = McgCap::from(host.mcg_cap);
    let family = Signature::decode(cpuid.get(Leaf::new(1)).eax).family;
    let has_machine_checks = [MCE, MCA].iter().all(|field| field.get(cpuid) == 1) && family >= 6;
    if !has_machine_checks || offered.count() == 0 {
        return None;
    }
    // AMD reports recovery in CPUID, and does not use these bits.
    let intel = host.manual() == Manual::Intel;
    Some(
        McgCap::new()
            .with_count(offered.count().min(BANKS))
            .with_mcg_ctl_p(offered.mcg_ctl_p())
            .with_mcg_ser_p(offered.mcg_ser_p() && intel)
            .with_mcg_lmce_p(offered.mcg_ser_p() && offered.mcg_lmce_p() && intel && passthrough),
    )
}

#[cfg(test)]
#[path = "machine_check_test.rs"]
mod tests;
