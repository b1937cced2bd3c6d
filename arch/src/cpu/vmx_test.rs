use super::*;
use crate::cpu::{profile::CpuProfile, spec::CpuSpec, testing::haswell, topology::Topology};

/// Read by guests with these CPUs, on the recorded host.
#[test]
fn cr4_has_the_bits_of_the_guests_features() {
    for (spec, want) in [
        ("host-passthrough", 0x17_2fff),
        ("core2duo,+vmx", 0x27ff),
        ("Haswell-noTSX,+vmx,-vmx-ept", 0x17_27ff),
    ] {
        let spec: CpuSpec = spec.parse().unwrap();
        let cpu = CpuProfile::resolve(&haswell(), &spec, &Topology::flat(1).unwrap()).unwrap();
        assert_eq!(cpu.capability_msrs().get(&msr::VMX_CR4_FIXED1), Some(&want), "{spec}");
        assert!(cpu.msrs().iter().all(|(index, _)| *index != msr::VMX_CR4_FIXED1), "{spec}");
    }
}
