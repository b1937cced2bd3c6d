use super::*;
use crate::cpu::{
    cpuid::Leaf,
    host::HostCpu,
    patch::Why,
    profile::CpuProfile,
    spec::{CpuSpec, Want},
    testing::{self, has, id, resolve, server, unmet},
    topology::Topology,
};

fn host_model(host: &HostCpu) -> &'static NamedModel {
    nearest(&Offer::new(host).unwrap()).unwrap()
}

/// The name of host-model's model, and the model's features that it lacks.
fn described(host: &HostCpu) -> (String, String) {
    let canonical = resolve(host, "host-model").unwrap().canonical().clone();
    let off = canonical.settings.iter().filter(|setting| setting.want == Want::Off);
    let off: Vec<_> = off.map(|setting| setting.feature.name()).collect();
    (canonical.model.to_string(), off.join(" "))
}

#[test]
fn host_models_are_of_the_hosts_generation() {
    let found = testing::all().into_iter().map(|(name, host)| format!("{name}: {}", host_model(&host).name));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            "bochs-haswell: Haswell-noTSX",
            "qemu-tcg-epyc: EPYC",
            "software-kvm: SapphireRapids",
            "broadwell-ep: Broadwell",
            "cascade-lake: Cascadelake-Server",
            "ice-lake: Icelake-Server",
            "sapphire-rapids: SapphireRapids",
            "granite-rapids: GraniteRapids",
            "naples: EPYC",
            "rome: EPYC-Rome",
            "milan: EPYC-Milan",
            "genoa: EPYC-Genoa",
            "dhyana: Dhyana",
        ]
    );
}

/// libvirt's own expectation for this dump: tests/cputestdata/x86_64-cpuid-Xeon-Bronze-3408U-guest.xml.
#[test]
fn sapphire_rapids_without_tiles_is_one_all_the_same() {
    let host = server("sapphire-rapids");
    let model = host_model(&host);
    let lost = model.features - resolve(&host, "host-model").unwrap().features() - *VMX_PARTS - *TOPOLOGICAL;
    assert_eq!(model.name, "SapphireRapids");
    assert_eq!(lost, FeatureSet::parse("xfd hle rtm amx-bf16 amx-tile amx-int8 taa-no"));
}

/// Each feature of each host is taken away in turn.
#[test]
fn no_single_feature_makes_a_host_one_of_another_generation() {
    for (name, host) in testing::all().into_iter().chain(testing::strangers()) {
        let generation = host_model(&host).generation();
        for id in Offer::new(&host).unwrap().features.iter() {
            let host = testing::without(host.clone(), FeatureSet::from_iter([id]));
            assert_eq!(host_model(&host).generation(), generation, "{name} without {id}");
        }
    }
}

#[test]
fn desktops_are_of_their_servers_generation() {
    // Parts of the servers that desktops and older KVMs lack.
    let servers_own =
        "pcid pku invpcid ibrs stibp-always-on amd-psfd wbnoinvd xsaves erms fsrm la57 avx512-bf16 vaes";
    let desktops = [
        ("naples", (23, 8, 2), "EPYC"),
        ("naples", (23, 24, 1), "EPYC"),
        ("rome", (23, 113, 0), "EPYC-Rome"),
        ("milan", (25, 33, 0), "EPYC-Milan"),
        ("milan", (25, 80, 0), "EPYC-Milan"),
        ("genoa", (25, 97, 2), "EPYC-Genoa"),
        ("genoa", (25, 117, 2), "EPYC-Genoa"),
        ("genoa", (26, 68, 0), "EPYC-Turin"),
        ("cascade-lake", (6, 85, 4), "Skylake-Server"),
        ("broadwell-ep", (6, 94, 3), "Skylake-Client"),
        ("broadwell-ep", (6, 158, 12), "Skylake-Client"),
        ("broadwell-ep", (6, 71, 1), "Broadwell"),
    ];
    for (like, signature, generation) in desktops {
        for features in ["", servers_own] {
            let host = testing::without(server(like), FeatureSet::parse(features));
            let host = testing::aged(host, signature);
            assert_eq!(host_model(&host).generation(), generation, "{like} as {signature:?}");
        }
    }
}

#[test]
fn haswell_without_xsaveopt_is_one() {
    let host = testing::aged(server("broadwell-ep"), (6, 63, 2));
    let broadwells = "xsaveopt adx rdseed smap 3dnowprefetch";
    let host = testing::without(host, FeatureSet::parse(broadwells));
    // Its TSX is broken, whether or not KVM offers it.
    assert_eq!(host_model(&host).name, "Haswell-noTSX");
    let profile = resolve(&host, "host-model").unwrap();
    assert!(!has(&profile, "xsaveopt") && !has(&profile, "rtm"));
    assert!(has(&resolve(&host, "host-model,+rtm").unwrap(), "rtm"));
    assert_eq!(host_model(&testing::aged(host, (6, 63, 4))).name, "Haswell");
}

#[test]
fn the_fewest_changes_choose_within_a_generation() {
    let host = server("broadwell-ep");
    assert_eq!(host_model(&host).name, "Broadwell");
    let host = testing::without(host, FeatureSet::parse("hle rtm"));
    assert_eq!(host_model(&host).name, "Broadwell-noTSX");
    let host = testing::aged(server("cascade-lake"), (6, 79, 1));
    assert_eq!(host_model(&host).name, "Broadwell-noTSX-IBRS");
    let host = testing::without(host, FeatureSet::parse("spec-ctrl"));
    assert_eq!(host_model(&host).name, "Broadwell-noTSX");
    assert_eq!((cost(5, 0), cost(5, 1), cost(5, 3)), (5, 7, 14));
}

#[test]
fn unlisted_processors_are_their_familys() {
    // Zen 6 is not in QEMU yet, nor is any processor of Hygon's or Zhaoxin's but one.
    for (like, maker, signature, generation) in [
        ("genoa", "AuthenticAMD", (26, 80, 0), "EPYC-Turin"),
        ("dhyana", "HygonGenuine", (24, 2, 2), "Dhyana"),
        ("dhyana", "HygonGenuine", (99, 2, 2), "Dhyana"),
        ("broadwell-ep", "CentaurHauls", (7, 107, 1), "YongFeng"),
        ("broadwell-ep", "  Shanghai  ", (7, 59, 0), "YongFeng"),
    ] {
        let host = testing::aged(testing::made_by(server(like), maker), signature);
        assert_eq!(host_model(&host).generation(), generation, "{maker} {signature:?}");
    }
    // Alder Lake, without AVX-512 and TSX: libvirt's answer too.
    let host =
        testing::without(server("ice-lake"), id("avx512f").dependents() | FeatureSet::parse("avx512f"));
    let host = testing::aged(host, (6, 151, 2));
    assert_eq!(host_model(&host).name, "Broadwell-noTSX-IBRS");
}

#[test]
fn makers_are_not_conflated() {
    // The features that a Hygon shares with EPYC and a Zhaoxin with Broadwell do not count.
    let hygon = testing::made_by(testing::aged(server("naples"), (24, 2, 2)), "HygonGenuine");
    assert_eq!(described(&hygon).0, "Dhyana");
    let zhaoxin = testing::made_by(testing::aged(server("broadwell-ep"), (7, 107, 1)), "CentaurHauls");
    assert_eq!(described(&zhaoxin).0, "YongFeng");
    assert!(described(&zhaoxin).1.contains("invtsc"), "YongFeng has it, and it can't be migrated");
    let spec = |vendor| CpuSpec { vendor: Some(vendor), ..CpuSpec::default() };
    let resolve = |vendor| CpuProfile::resolve(&hygon, &spec(vendor), &Topology::flat(1).unwrap());
    assert_eq!(resolve(Vendor::Amd).unwrap_err().to_string(), "this host's processor is not made by AMD");
    assert!(resolve(Vendor::Hygon).is_ok());
}

#[test]
fn an_unknown_vendor_is_none_of_the_known_ones() {
    for (like, signature) in [("broadwell-ep", (6, 79, 1)), ("genoa", (25, 17, 1))] {
        let host = testing::made_by(testing::aged(server(like), signature), "GenuineThird");
        assert_eq!((host.vendor(), host.manual()), (Vendor::Other, server(like).manual()));
        // All that the host has, and its name.
        let passed = resolve(&host, "host-passthrough").unwrap();
        assert_eq!(passed.features(), Offer::new(&host).unwrap().features, "{like}");
        assert_eq!(passed.nesting(), resolve(&server(like), "host-passthrough").unwrap().nesting());
        assert_eq!(passed.leaves(0).get(Leaf::new(0)).ebx, u32::from_le_bytes(*b"Genu"));
        // A model runs as on any other host.
        assert_eq!(unmet(&resolve(&host, "x86-64-v3").unwrap()), [""; 0]);
        // No maker's model describes it, so a level of x86-64 does, with the rest added.
        let described = resolve(&host, "host-model,pmu=on").unwrap();
        assert!(described.canonical().model.to_string().starts_with("x86-64-v"), "{}", described.canonical());
        assert_eq!(described.features(), passed.features() - *NOT_MIGRATABLE);
        for vendor in [Vendor::Intel, Vendor::Amd, Vendor::Hygon, Vendor::Zhaoxin] {
            let spec = CpuSpec { vendor: Some(vendor), ..CpuSpec::default() };
            let error = CpuProfile::resolve(&host, &spec, &Topology::flat(1).unwrap()).unwrap_err();
            assert_eq!(error, CpuError::Vendor(vendor));
        }
    }
}

#[test]
fn host_model_leaves_out_what_cannot_be_migrated() {
    let host = server("genoa");
    let profile = resolve(&host, "host-model").unwrap();
    assert!(has(&resolve(&host, "host-passthrough").unwrap(), "invtsc") && !has(&profile, "invtsc"));
    assert_eq!(profile.why(id("invtsc")), Why::Restrict("left out of host-model: it can't be migrated"));
    assert_eq!(profile.unmet(), []);
    assert!(has(&resolve(&host, "host-model,+invtsc").unwrap(), "invtsc"));
}
