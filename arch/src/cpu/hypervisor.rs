//! What the hypervisor adds to any CPU: Linux, Documentation/virt/kvm/x86/cpuid.rst.

use super::{
    cpuid::{Leaf, Register},
    field::Field,
    host::{HostCpu, Manual},
    patch::{Patch, Why},
    topology::{FIRST_X2APIC_ID, Topology},
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

/// The in-kernel local APIC is an x2APIC, and has a TSC deadline timer if KVM says so. KVM's own leaves stay as they are.
pub(super) fn patches(host: &HostCpu) -> Vec<Patch> {
    let mut patches = vec![
        patch(X2APIC, true, Why::Hypervisor),
        patch(TSC_DEADLINE, host.tsc_deadline, Why::Hypervisor),
        patch(HYPERVISOR, true, Why::Hypervisor),
    ];
    if host.manual() == Manual::Amd && ARCH_CAPABILITIES.get(&host.supported) == 1 {
        // KVM emulates Intel's MSR on any processor. Systems that know AMD's stumble over it.
        patches.push(patch(ARCH_CAPABILITIES, false, Why::Restrict("not on AMD processors")));
    }
    patches
}

/// What the VMM does instead of KVM: 15-bit APIC ids in MSI addresses, without which Linux starts no CPU whose id is above 254.
pub(super) fn large_ids(topology: &Topology) -> Vec<Patch> {
    if topology.max_apic_id() < FIRST_X2APIC_ID {
        return Vec::new();
    }
    [MSI_EXT_DEST_ID, X2APIC].map(|field| patch(field, true, Why::Hypervisor)).into()
}

fn patch(field: Field, value: bool, why: Why) -> Patch {
    Patch { field, value: value.into(), why }
}
