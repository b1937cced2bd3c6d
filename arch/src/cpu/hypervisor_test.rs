use crate::cpu::{
    CpuError,
    cpuid::{Leaf, Register},
    feature::FeatureId,
    profile::CpuProfile,
    testing,
    topology::Topology,
};

fn resolve(spec: &str, vcpus: u32) -> Result<CpuProfile, CpuError> {
    CpuProfile::resolve(&testing::haswell(), &spec.parse().unwrap(), &Topology::flat(vcpus)?)
}

#[test]
fn a_guest_without_kvms_leaves_still_sees_that_it_is_one() {
    for model in ["host", "host-model", "qemu64", "Haswell,+kvm-pv-unhalt"] {
        let profile = resolve(&format!("{model},kvm=off"), 2).unwrap();
        let leaves = profile.leaves(1);
        assert!(leaves.0.keys().all(|leaf| leaf.function & 0xf000_0000 != 0x4000_0000), "{model}");
        assert_eq!(leaves.get(Leaf::new(1)).get(Register::Ecx) >> 31, 1, "{model}");
        assert!(profile.features() == profile.features() - *super::FEATURES, "{model}");
        let shown = resolve(model, 2).unwrap();
        assert_eq!(shown.leaves(0).get(Leaf::new(0x4000_0000)).ebx, 0x4b4d_564b, "{model}");
        assert_eq!(
            shown.features() - profile.features(),
            shown.features() - (shown.features() - *super::FEATURES)
        );
        let words: Vec<_> = profile.decisions().iter().map(ToString::to_string).collect();
        assert!(
            words
                .iter()
                .any(|word| word == "CPUID.40000000H:EBX KVM's leaves = 0x0 (kvm=off; KVM has 0x4b4d564b)"),
            "{words:?}"
        );
    }
    assert_eq!(resolve("host,kvm=off,enforce", 2).unwrap().unmet(), []);
    let unmet = resolve("host,kvm=off,+kvm-pv-eoi", 2)
        .unwrap()
        .unmet()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    assert_eq!(unmet, ["kvm-pv-eoi (hidden by kvm=off)"]);
}

#[test]
fn a_guest_without_the_hypervisor_bit_may_find_kvms_leaves() {
    let profile = resolve("host,-hypervisor", 2).unwrap();
    assert!(!profile.features().contains(FeatureId::find("hypervisor").unwrap()));
    assert_eq!(profile.leaves(0).get(Leaf::new(1)).ecx >> 31, 0);
    assert_eq!(profile.leaves(0).get(Leaf::new(0x4000_0000)).ebx, 0x4b4d_564b);
}

#[test]
fn kvm_cannot_be_hidden_from_more_cpus_than_a_message_reaches() {
    assert_eq!(resolve("host,kvm=off", 255).map(|_| ()), Ok(()));
    assert_eq!(resolve("host,kvm=off", 300).map(|_| ()), Err(CpuError::HiddenKvm));
}
