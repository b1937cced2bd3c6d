use super::*;
use crate::cpu::{
    msr,
    profile::CpuProfile,
    testing::{self, epyc, haswell},
    topology::Topology,
};

/// The capabilities that Linux' kvm_intel and kvm_amd take: 32 banks, MCG_CTL, recovery, and only the former local machine checks.
const KVM_INTEL: u64 = 0x0900_0120;
const KVM_AMD: u64 = 0x0100_0120;

/// IA32_MCG_CAP and IA32_FEATURE_CONTROL of a CPU.
fn given(host: &HostCpu, cpu: &str) -> (Option<u64>, Option<u64>) {
    let profile = CpuProfile::resolve(host, &cpu.parse().unwrap(), &Topology::flat(1).unwrap()).unwrap();
    let control = profile.msrs().iter().find(|(index, _)| *index == msr::FEATURE_CONTROL);
    (profile.mcg_cap(), control.map(|&(_, value)| value))
}

#[test]
fn an_intel_has_recovery_and_local_machine_checks() {
    let host = HostCpu { mcg_cap: KVM_INTEL, ..haswell() };
    assert_eq!(given(&host, "host"), (Some(0x0900_010a), Some(0x10_0005)));
    // Without VMX they still are what the register is about.
    assert_eq!(given(&host, "host,-vmx"), (Some(0x0900_010a), Some(0x10_0001)));
    assert_eq!(given(&host, "Haswell"), (Some(0x0100_010a), None), "runs on hosts that have none");
    assert_eq!(given(&host, "Haswell,+vmx"), (Some(0x0100_010a), Some(5)));
}

#[test]
fn an_amd_has_neither() {
    let host = HostCpu { mcg_cap: KVM_AMD, ..epyc() };
    assert_eq!(given(&host, "host"), (Some(0x10a), None));
    let host = HostCpu { mcg_cap: KVM_INTEL, ..epyc() };
    assert_eq!(given(&host, "EPYC"), (Some(0x10a), None));
}

#[test]
fn values_that_kvm_refuses_are_not_set() {
    for (mcg_cap, want) in [
        (0, None),
        (0x0900_0100, None),
        (0x20, Some(0xa)),
        (0x0900_0104, Some(0x0900_0104)),
        (0x0800_0120, Some(0x10a)),
        (u64::MAX, Some(0x0900_010a)),
    ] {
        let host = HostCpu { mcg_cap, ..haswell() };
        assert_eq!(given(&host, "host").0, want, "of {mcg_cap:#x}");
    }
    for (name, host) in testing::all() {
        let want = u64::from(McgCap::from(host.mcg_cap).count() > 0);
        assert_eq!(u64::from(given(&host, "host").0.is_some()), want, "{name}");
    }
}

#[test]
fn a_cpu_without_the_features_has_no_machine_checks() {
    let host = HostCpu { mcg_cap: KVM_INTEL, ..haswell() };
    for cpu in ["host,-mce", "host,-mca", "486"] {
        assert_eq!(given(&host, cpu).0, None, "{cpu}");
    }
}
