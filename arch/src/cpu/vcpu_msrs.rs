//! The MSRs that every vCPU is given.

use super::{
    capabilities::Capabilities,
    choice::Choice,
    host::HostCpu,
    machine_check::McgCap,
    msr,
    offer::Offer,
    patch::{At, Decision, Why},
    vendor::Manual,
};

/// IA32_MCG_CAP of a vCPU before it is set up: 32 banks, and nothing else.
const KVM_MCG_CAP: u64 = 32;

/// The MSRs to write, in order.
pub(super) fn all(
    host: &HostCpu,
    offer: &Offer,
    choice: &Choice,
    cpu: &Capabilities,
    mcg_cap: Option<McgCap>,
    decisions: &mut Vec<Decision>,
) -> Vec<(u32, u64)> {
    if let Some(cap) = mcg_cap {
        decisions.push(Decision {
            place: At::Msr(msr::MCG_CAP),
            name: "machine-check capabilities",
            value: cap.into_bits(),
            host: KVM_MCG_CAP,
            why: Why::Hypervisor,
        });
    }
    let mut msrs = Vec::new();
    let mut write = |index, name, value, host: Option<u64>, why| {
        msrs.push((index, value));
        decisions.push(Decision { place: At::Msr(index), name, value, host: host.unwrap_or(0), why });
    };
    // KVM would show a revision of its own, even though the host's is a feature MSR.
    let hosts = host.feature_msrs.get(&msr::BIOS_SIGN_ID).copied();
    let (revision, why) = match (choice.model, hosts) {
        (None, Some(revision @ 1..)) => (revision, Why::Host),
        (None, _) => (revision(offer.manual), Why::Hypervisor),
        (Some(model), _) => (revision(offer.manual), Why::Model(&model.name)),
    };
    write(msr::BIOS_SIGN_ID, "microcode revision", revision, hosts, why);
    // Capabilities that nothing was taken from are KVM's own values: these need no writing.
    for (&index, &value) in &cpu.msrs {
        let default = offer.capabilities.msrs.get(&index).copied();
        if default != Some(value) && !is_made(index) {
            let why = choice.model.map_or(Why::Feature, |model| Why::Model(&model.name));
            write(index, "capabilities", value, default, why);
        }
    }
    // Firmware would lock this MSR.
    let vmx = (msr::FEATURE_CONTROL_VMX_OUTSIDE_SMX, cpu.msrs.contains_key(&msr::VMX_BASIC));
    let lmce = (msr::FEATURE_CONTROL_LMCE, mcg_cap.is_some_and(|cap| cap.mcg_lmce_p()));
    let name = match (vmx.1, lmce.1) {
        (true, true) => "feature control: locked, VMX outside SMX, local machine checks",
        (true, false) => "feature control: locked, VMX outside SMX",
        (false, true) => "feature control: locked, local machine checks",
        (false, false) => return msrs,
    };
    let allowed: u64 = [vmx, lmce].iter().map(|&(bit, on)| if on { bit } else { 0 }).sum();
    write(msr::FEATURE_CONTROL, name, msr::FEATURE_CONTROL_LOCKED | allowed, None, Why::Hypervisor);
    msrs
}

/// Returns whether KVM derives an MSR from others or from CPUID, and takes no other value.
pub(super) fn is_made(index: u32) -> bool {
    index == msr::VMX_CR4_FIXED1 || msr::VMX_OLD_CONTROLS.iter().any(|(old, _)| *old == index)
}

/// The microcode revision that QEMU shows if it does not have the host's. It is so high that OSes need none of the workarounds for older
/// ones. 0 would mean microcode that failed to load.
fn revision(manual: Manual) -> u64 {
    match manual {
        Manual::Intel => 1 << 32,
        Manual::Amd => 0x0100_0065,
    }
}
