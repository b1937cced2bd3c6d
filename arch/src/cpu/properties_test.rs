//! Properties of every CPU on every host.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    CpuError,
    cpuid::Cpuid,
    feature::{FeatureId, FeatureSet},
    host::HostCpu,
    model,
    offer::Offer,
    pmu,
    profile::CpuProfile,
    spec::{CpuSpec, Model, Nested, Setting, Want},
    testing,
    topology::Topology,
    xsave,
};

/// The CPUID that a vCPU is given.
type Given = (Cpuid, BTreeMap<u32, u64>, Vec<(u32, u64)>);

fn resolve(host: &HostCpu, spec: &CpuSpec) -> Result<CpuProfile, CpuError> {
    CpuProfile::resolve(host, spec, &Topology::new(2, 1, 3, 2).unwrap())
}

fn given(profile: &CpuProfile) -> Given {
    (profile.leaves(7), profile.capability_msrs().clone(), profile.msrs().to_vec())
}

fn hosts() -> impl Strategy<Value = (&'static str, HostCpu)> {
    proptest::sample::select(testing::all().into_iter().chain(testing::strangers()).collect::<Vec<_>>())
}

fn features() -> impl Strategy<Value = FeatureId> {
    proptest::sample::select(FeatureId::all().collect::<Vec<_>>())
}

fn models() -> impl Strategy<Value = Model> {
    let named: Vec<_> = model::all().map(Model::Named).collect();
    prop_oneof![
        1 => Just(Model::HostPassthrough),
        1 => Just(Model::HostModel),
        3 => proptest::sample::select(named),
    ]
}

fn specs() -> impl Strategy<Value = CpuSpec> {
    let want = proptest::sample::select(vec![Want::On, Want::Off, Want::Optional]);
    let setting = (features(), want).prop_map(|(feature, want)| Setting { feature, want });
    let nested = proptest::sample::select(vec![Nested::Auto, Nested::Auto, Nested::Off]);
    (models(), proptest::collection::vec(setting, 0..6), nested)
        .prop_map(|(model, settings, nested)| CpuSpec { model, settings, nested, ..CpuSpec::default() })
}

/// Properties, in any order, each with what may contradict it.
fn words() -> impl Strategy<Value = Vec<&'static str>> {
    const WORDS: &str = "migratable=on migratable=off kvm=off kvm=on pmu=on pmu=off l3-cache=off host-cache-info=on \
        host-cache-info=off caches=off guest-phys-bits=32 phys-bits=36 host-phys-bits vendor=GenuineIntel \
        vendor=AuthenticAMD vendor=SomebodyElse family=6 family=25 model=0 model=151 stepping=15 model-id=Mine level=1 \
        level=4 level=13 level=31 min-level=2 min-level=36 xlevel=0x80000000 xlevel=0x80000008 xlevel=0x8000001d \
        min-xlevel=0x80000022 tsc-frequency=2G vmware-cpuid-freq=on kvm-pv-enforce-cpuid=on +perfmon-v2 +pdcm -hypervisor";
    let words: Vec<_> = WORDS.split_whitespace().collect();
    let count = words.len();
    proptest::sample::subsequence(words, 0..count).prop_shuffle()
}

proptest! {
    #[test]
    fn no_more_is_granted_than_the_host_has((name, host) in hosts(), spec in specs()) {
        let profile = resolve(&host, &spec).unwrap();
        let offer = Offer::new(&host).unwrap();
        let beyond = profile.features() - offer.features - offer.emulated;
        prop_assert!(beyond.is_empty(), "{name}: {spec}: {beyond:?}");
        for unmet in profile.unmet() {
            prop_assert!(!profile.features().contains(unmet.feature), "{name}: {spec}: {unmet}");
        }
    }

    #[test]
    fn no_feature_lacks_its_requirements((name, host) in hosts(), spec in specs()) {
        let offered = Offer::new(&host).unwrap().features;
        let profile = resolve(&host, &spec).unwrap();
        // The Pentium with MMX had no FXSAVE.
        let old = profile.canonical().model.to_string().starts_with("pentium");
        for id in profile.features().iter() {
            for &need in id.needs() {
                let excused = !offered.contains(need) || old && id.name() == "mmx";
                prop_assert!(profile.features().contains(need) || excused, "{name}: {spec}: {id} without {need}");
            }
        }
    }

    #[test]
    fn features_have_their_state((name, host) in hosts(), spec in specs()) {
        let profile = resolve(&host, &spec).unwrap();
        let half: FeatureSet = xsave::half(&profile.leaves(0)).filter_map(FeatureId::find).collect();
        prop_assert!((half & profile.features()).is_empty(), "{name}: {spec}: {:?}", half & profile.features());
    }

    #[test]
    fn an_expansion_gives_the_same_cpu((name, host) in hosts(), spec in specs()) {
        let profile = resolve(&host, &spec).unwrap();
        let text = profile.canonical().to_string();
        let again = resolve(&host, &text.parse().unwrap()).unwrap();
        prop_assert_eq!(given(&again), given(&profile), "{}: {} as {}", name, spec, text);
        prop_assert_eq!(again.unmet(), [], "{}: {}", name, text);
        prop_assert_eq!(again.canonical().to_string(), text);
    }

    #[test]
    fn an_expansion_of_any_words_gives_the_same_cpu((name, mut host) in hosts(), spec in specs(), words in words()) {
        host.tsc_khz = Some(2_100_000);
        let text = [spec.to_string()].into_iter().chain(words.into_iter().map(str::to_owned)).collect::<Vec<_>>().join(",");
        let profile = match resolve(&host, &text.parse().unwrap()) {
            // More than the address has.
            Err(CpuError::GuestPhysicalBits { .. }) => return Ok(()),
            profile => profile.unwrap(),
        };
        let expanded = profile.canonical().to_string();
        let again = resolve(&host, &expanded.parse().unwrap()).unwrap();
        prop_assert_eq!(given(&again), given(&profile), "{}: {} as {}", name, text, expanded);
        prop_assert_eq!(again.unmet(), [], "{}: {}", name, expanded);
        prop_assert_eq!(again.canonical().to_string(), expanded);
        prop_assert_eq!((again.pmu(), again.tsc_khz()), (profile.pmu(), profile.tsc_khz()));
    }

    #[test]
    fn no_leaf_is_behind_the_last((name, host) in hosts(), spec in specs(), words in words()) {
        let text = [spec.to_string()].into_iter().chain(words.into_iter().map(str::to_owned)).collect::<Vec<_>>().join(",");
        let Ok(profile) = resolve(&host, &text.parse().unwrap()) else { return Ok(()) };
        let limits = profile.canonical().identity.clone();
        for (leaf, _) in profile.leaves(5).0 {
            prop_assert_eq!(limits.hides(leaf.function), None, "{}: {}: {}", name, text, leaf);
        }
    }

    #[test]
    fn the_last_word_counts((name, host) in hosts(), spec in specs(), feature in features()) {
        let with = |wants: &[Want]| {
            let mut spec = spec.clone();
            spec.settings.extend(wants.iter().map(|&want| Setting { feature, want }));
            given(&resolve(&host, &spec).unwrap())
        };
        prop_assert_eq!(with(&[Want::On, Want::Off]), with(&[Want::Off]), "{}: {} {}", name, spec, feature);
        prop_assert_eq!(with(&[Want::Off, Want::On]), with(&[Want::On]), "{}: {} {}", name, spec, feature);
    }

    #[test]
    fn a_guest_that_passes_its_cpu_through_gives_the_same((name, host) in hosts(), spec in specs()) {
        let first = resolve(&host, &spec).unwrap();
        let (cpuid, mut feature_msrs, written) = given(&first);
        feature_msrs.extend(written.into_iter().filter(|(index, _)| *index == super::msr::BIOS_SIGN_ID));
        let has = |name| FeatureId::find(name).is_some_and(|id| first.features().contains(id));
        let guest = HostCpu {
            supported: cpuid,
            native: Cpuid::default(),
            feature_msrs,
            tsc_deadline: has("tsc-deadline"),
            nested_state: host.nested_state,
            tsc_khz: None,
            mcg_cap: host.mcg_cap,
        };
        prop_assume!(has("x2apic") && has("hypervisor"));
        // Without AMD's features nobody can tell that an unknown maker follows AMD.
        prop_assume!(guest.manual() == host.manual());
        let second = resolve(&guest, &CpuSpec::default()).unwrap();
        prop_assert_eq!(given(&second).0, given(&first).0, "{}: {}", name, spec);
        prop_assert_eq!(given(&second).1, given(&first).1, "{}: {}", name, spec);
    }

    #[test]
    fn without_nesting_there_is_no_trace_of_it((name, host) in hosts(), mut spec in specs()) {
        spec.nested = Nested::Off;
        let profile = resolve(&host, &spec).unwrap();
        let traces = FeatureId::all().filter(|id| id.name().starts_with("vmx") || id.name() == "svm" || id.name() == "npt");
        let left = profile.features() - (profile.features() - traces.collect::<FeatureSet>());
        prop_assert!(left.is_empty(), "{name}: {spec}: {left:?}");
        prop_assert!(profile.capability_msrs().keys().all(|index| !super::msr::VMX.contains(index)));
        prop_assert!(profile.msrs().iter().all(|(index, _)| *index != super::msr::FEATURE_CONTROL));
        prop_assert!(profile.leaves(0).get(super::cpuid::Leaf::new(super::svm::FUNCTION)).is_zero());
    }
}

#[test]
fn host_model_has_all_that_the_host_has_and_can_be_migrated() {
    for (name, host) in testing::all() {
        let offered = Offer::new(&host).unwrap().features - FeatureSet::parse("invtsc");
        let profile = resolve(&host, &"host-model".parse().unwrap()).unwrap();
        // Models have no performance counters unless they are asked for.
        assert_eq!(profile.features(), offered - *pmu::FEATURES, "{name}");
        let profile = resolve(&host, &"host-model,pmu=on".parse().unwrap()).unwrap();
        assert_eq!(profile.features(), offered, "{name}");
        assert_eq!(profile.unmet(), [], "{name}");
    }
}
