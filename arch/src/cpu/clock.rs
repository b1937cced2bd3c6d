//! The rate of the TSC: QEMU's `tsc-frequency` and `vmware-cpuid-freq`.

use super::{
    cpuid::{self, Cpuid, Register},
    field::Field,
    host::HostCpu,
    patch::{self, Decision, Patch, Why},
    spec::CpuSpec,
};

/// SDM 2A, "Time Stamp Counter and Core Crystal Clock Information Leaf" and "Processor Frequency Information Leaf". QEMU shows neither.
const HOSTS_RATES: [u32; 2] = [0x15, 0x16];
const LAST: Field = Field::new(cpuid::HYPERVISOR, Register::Eax, 31, 0, "maximum hypervisor leaf");
/// VMware's leaf of frequencies, which FreeBSD and macOS also read on KVM.
const TSC: Field = Field::new(0x4000_0010, Register::Eax, 31, 0, "tsc kHz");
const APIC_BUS: Field = Field::new(0x4000_0010, Register::Ebx, 31, 0, "apic bus kHz");
/// KVM's APIC timer counts nanoseconds.
const APIC_BUS_KHZ: u32 = 1_000_000;

/// Writes the leaves that give the TSC's rate. `invariant` says whether the guest may rely on the host's rate.
pub(super) fn write(
    cpuid: &mut Cpuid,
    host: &HostCpu,
    spec: &CpuSpec,
    invariant: bool,
    decisions: &mut Vec<Decision>,
) {
    if spec.tsc_khz.is_some() {
        patch::hide(cpuid, &HOSTS_RATES, ("the host's rates", "tsc-frequency"), decisions);
    }
    let rate = spec.tsc_khz.or(host.tsc_khz.filter(|_| invariant));
    if let Some(khz) = rate
        && spec.tsc_leaf
        && !spec.hide_kvm
    {
        let last = LAST.get(cpuid).max(TSC.leaf.function);
        let fields = [(LAST, last), (TSC, khz), (APIC_BUS, APIC_BUS_KHZ)];
        let patches = fields.map(|(field, value)| Patch { field, value, why: Why::Feature });
        patch::apply(cpuid, &patches, decisions);
    }
}

#[cfg(test)]
#[path = "clock_test.rs"]
mod tests;
