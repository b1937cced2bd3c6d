use crate::cpu::{
    cpuid::Leaf, feature::FeatureId, host::HostCpu, profile::CpuProfile, testing, topology::Topology,
};

fn resolve(host: &HostCpu, spec: &str) -> CpuProfile {
    CpuProfile::resolve(host, &spec.parse().unwrap(), &Topology::flat(2).unwrap()).unwrap()
}

fn has(profile: &CpuProfile, name: &str) -> bool {
    profile.features().contains(FeatureId::find(name).unwrap())
}

/// The leaves about counters.
fn told(profile: &CpuProfile) -> bool {
    super::FUNCTIONS.iter().any(|function| !profile.leaves(1).get(Leaf::new(*function)).is_zero())
}

const PERF_CAPABILITIES: u32 = crate::cpu::msr::PERF_CAPABILITIES;

#[test]
fn the_hosts_cpu_has_counters_and_models_have_none_unless_asked_for() {
    for (name, host) in testing::all() {
        for (spec, pmu) in [
            ("host", true),
            ("host,pmu=on", true),
            ("host,pmu=off", false),
            ("host-model", false),
            ("host-model,pmu=on", true),
            ("qemu64", false),
            ("EPYC-Genoa-v2", false),
            ("EPYC-Genoa-v2,pmu=on", true),
        ] {
            let profile = resolve(&host, spec);
            assert_eq!(profile.pmu(), pmu, "{name}: {spec}");
            if !pmu {
                assert!(
                    (profile.features() - (profile.features() - *super::FEATURES)).is_empty(),
                    "{name}: {spec}"
                );
                assert!(!told(&profile), "{name}: {spec}");
                assert!(!profile.capability_msrs().contains_key(&PERF_CAPABILITIES), "{name}: {spec}");
            }
        }
    }
}

#[test]
fn counters_are_the_hosts() {
    for (name, host) in testing::servers() {
        let hosts = resolve(&host, "host");
        assert!(told(&hosts) || has(&hosts, "perfctr-core"), "{name}");
        let model = resolve(&host, "host-model,pmu=on");
        for function in super::FUNCTIONS {
            let leaf = Leaf::new(function);
            assert_eq!(model.leaves(0).get(leaf), hosts.leaves(0).get(leaf), "{name}: {leaf}");
        }
        assert_eq!(has(&model, "pdcm"), has(&hosts, "pdcm"), "{name}");
    }
}

#[test]
fn features_removed_with_the_counters_have_the_reason() {
    let (_, genoa) = testing::servers().into_iter().find(|(name, _)| *name == "genoa").unwrap();
    let profile = resolve(&genoa, "host,pmu=off");
    let decisions: Vec<_> = profile.decisions().iter().map(ToString::to_string).collect();
    for said in [
        "CPUID.80000001H:ECX[23] perfctr-core = 0x0 (pmu=off; KVM has 0x1)",
        "CPUID.80000022H:EAX[0] perfmon-v2 = 0x0 (pmu=off; KVM has 0x1)",
    ] {
        assert!(decisions.iter().any(|decision| decision == said), "{said}\n{}", decisions.join("\n"));
    }
    let (_, broadwell) = testing::servers().into_iter().find(|(name, _)| *name == "broadwell-ep").unwrap();
    let said = "CPUID.0AH:EAX performance counters = 0x0 (pmu=off; KVM has 0x7300402)";
    let profile = resolve(&broadwell, "host,pmu=off");
    assert!(
        profile.decisions().iter().any(|decision| decision.to_string() == said),
        "{:?}",
        profile.decisions()
    );
    // Without a word of it nothing is missed, and with one it is.
    let hidden = |spec: &str| -> Vec<String> {
        let unmet = resolve(&genoa, spec).unmet().to_vec();
        unmet.iter().map(ToString::to_string).filter(|unmet| unmet.contains("pmu")).collect()
    };
    assert_eq!(hidden("EPYC-Genoa-v2"), [""; 0]);
    assert_eq!(hidden("EPYC-Genoa-v2,+perfmon-v2"), ["perfmon-v2 (hidden by pmu=off)"]);
}
