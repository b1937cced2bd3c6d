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
