//! The leaves that the hypervisor adds to any CPU: Linux, Documentation/virt/kvm/x86/cpuid.rst.

use std::sync::LazyLock;

use super::{
    apic_id::FIRST_X2APIC_ID,
    cpuid::{self, Cpuid, Leaf, Register},
    feature::{FeatureId, FeatureSet, Place},
    field::Field,
    host::HostCpu,
    patch::{self, Decision, Patch, Why},
    topology::Topology,
    vendor::Manual,
};

const X2APIC: Field = Field::bit(0x1, Register::Ecx, 21, "x2apic");
const TSC_DEADLINE: Field = Field::bit(0x1, Register::Ecx, 24, "tsc-deadline");
const HYPERVISOR: Field = Field::bit(0x1, Register::Ecx, 31, "hypervisor");
pub(super) const PDCM: Field = Field::bit(0x1, Register::Ecx, 15, "pdcm");
pub(super) const CORE_CAPABILITY: Field =
    Field::bit(0x7, Register::Edx, 30, "core-capability").at(Leaf::sub(0x7, 0));
pub(super) const ARCH_CAPABILITIES: Field =
    Field::bit(0x7, Register::Edx, 29, "arch-capabilities").at(Leaf::sub(0x7, 0));
const MSI_EXT_DEST_ID: Field = Field::bit(0x4000_0001, Register::Eax, 15, "kvm-msi-ext-dest-id");

/// The in-kernel local APIC is an x2APIC. It has a TSC deadline timer if KVM says so. KVM's own leaves stay as they are.
pub(super) fn patches(host: &HostCpu) -> Vec<Patch> {
    let mut patches = vec![
        patch(X2APIC, true, Why::Hypervisor),
        patch(TSC_DEADLINE, host.tsc_deadline, Why::Hypervisor),
        patch(HYPERVISOR, true, Why::Hypervisor),
    ];
    if host.manual() == Manual::Amd && ARCH_CAPABILITIES.get(&host.supported) == 1 {
        // KVM emulates Intel's MSR on any processor, but OSes that know AMD's processors stumble over it.
        patches.push(patch(ARCH_CAPABILITIES, false, Why::Restrict("not on AMD processors")));
    }
    patches
}

/// The one feature that comes from the VMM and not from KVM: 15-bit APIC ids in MSI addresses. Without it, Linux starts no CPU whose id is
/// above 254.
pub(super) fn large_ids(topology: &Topology) -> Vec<Patch> {
    if topology.max_apic_id() < FIRST_X2APIC_ID {
        return Vec::new();
    }
    [MSI_EXT_DEST_ID, X2APIC].map(|field| patch(field, true, Why::Hypervisor)).into()
}

/// KVM's leaves: its signature, and its features for guests.
const LEAVES: [u32; 2] = [cpuid::HYPERVISOR, cpuid::HYPERVISOR + 1];
/// The word that hides these leaves.
pub(super) const OFF: &str = "kvm=off";

/// The features of KVM's leaf.
pub(super) static FEATURES: LazyLock<FeatureSet> = LazyLock::new(|| {
    let of_kvm = |id: &FeatureId| matches!(id.feature().place, Place::Cpuid(leaf, ..) if LEAVES.contains(&leaf.function));
    FeatureId::all().filter(of_kvm).collect()
});

/// Removes KVM's leaves. The hypervisor bit still tells the guest that it is one, as in QEMU.
pub(super) fn hide(cpuid: &mut Cpuid, decisions: &mut Vec<Decision>) {
    patch::hide(cpuid, &LEAVES, ("KVM's leaves", OFF), decisions);
}

fn patch(field: Field, value: bool, why: Why) -> Patch {
    Patch { field, value: value.into(), why }
}

#[cfg(test)]
#[path = "hypervisor_test.rs"]
mod tests;
