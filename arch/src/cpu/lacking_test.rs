use super::{
    super::{model, profile::CpuProfile, testing, topology::Topology},
    *,
};

#[test]
fn a_host_lacks_what_a_guest_with_that_model_would_not_get() {
    let topology = Topology::flat(1).unwrap();
    let mut lacks_some = 0;
    for (name, host) in testing::all().into_iter().chain(testing::strangers()) {
        let lacking = Lacking::new(&host).unwrap();
        for model in model::all().step_by(3) {
            let spec = CpuSpec { model: Model::Named(model), ..CpuSpec::default() };
            let profile = CpuProfile::resolve(&host, &spec, &topology).unwrap();
            let lacks = lacking.of(model);
            assert_eq!(lacks, profile.unmet(), "{} on {name}", model.name);
            lacks_some += usize::from(!lacks.is_empty());
        }
    }
    assert!(lacks_some > 0);
}

/// A CPU that was decided on elsewhere, as a snapshot tells of it.
#[test]
fn a_host_lacks_what_another_gave() {
    let topology = Topology::flat(1).unwrap();
    let record = |host: &HostCpu| {
        let cpu = CpuProfile::resolve(host, &CpuSpec::default(), &topology).unwrap();
        let names: Vec<_> = cpu.features().iter().map(|id| id.name().to_owned()).collect();
        (names, cpu.leaves(0), cpu.capability_msrs().clone())
    };
    for (name, host) in testing::all().into_iter().chain(testing::strangers()) {
        let (features, cpuid, msrs) = record(&host);
        let lacks = Lacking::new(&host).unwrap().of_cpu(&features, &cpuid, &msrs);
        assert!(lacks.is_empty(), "{name} has what it gave: {lacks:?}");
    }
    let (mut features, cpuid, msrs) = record(&testing::haswell());
    features.push("of-tomorrow".to_owned());
    let lacks = Lacking::new(&testing::epyc()).unwrap().of_cpu(&features, &cpuid, &msrs);
    for expected in ["vmx (", "vmx-ept (", "of-tomorrow"] {
        assert!(lacks.iter().any(|lack| lack.starts_with(expected)), "{expected}: {lacks:?}");
    }
    let wide = record(&testing::servers().pop().unwrap().1).1;
    let narrow = Lacking::new(&testing::haswell()).unwrap().of_cpu(&[], &wide, &BTreeMap::new());
    assert!(narrow.iter().any(|lack| lack.starts_with("physical addresses of ")), "{narrow:?}");
    assert!(narrow.contains(&"a processor of Hygon's (this host's is Intel's)".to_owned()), "{narrow:?}");
}
