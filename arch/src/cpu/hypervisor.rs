//! What the hypervisor adds to any CPU: Linux, Documentation/virt/kvm/x86/cpuid.rst.

use super::{
    cpuid::Register,
    field::Field,
    patch::{Patch, Why},
    topology::{FIRST_X2APIC_ID, Topology},
};

const X2APIC: Field = Field::bit(0x1, Register::Ecx, 21, "x2apic");
const TSC_DEADLINE: Field = Field::bit(0x1, Register::Ecx, 24, "tsc-deadline");
const HYPERVISOR: Field = Field::bit(0x1, Register::Ecx, 31, "hypervisor");
const MSI_EXT_DEST_ID: Field = Field::bit(0x4000_0001, Register::Eax, 15, "kvm-msi-ext-dest-id");

/// The in-kernel local APIC is an x2APIC, and has a TSC deadline timer if KVM says so. KVM's own leaves stay as they are, but for what the
/// VMM does instead of KVM: 15-bit APIC ids in MSI addresses, without which Linux starts no CPU whose id is above 254.
pub(super) fn patches(tsc_deadline: bool, topology: &Topology) -> Vec<Patch> {
    let mut bits = vec![(X2APIC, true), (TSC_DEADLINE, tsc_deadline), (HYPERVISOR, true)];
    if topology.max_apic_id() >= FIRST_X2APIC_ID {
        bits.push((MSI_EXT_DEST_ID, true));
    }
    bits.into_iter()
        .map(|(field, value)| Patch { field, value: value.into(), why: Why::Hypervisor })
        .collect()
}
