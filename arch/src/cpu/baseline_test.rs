use super::{
    super::testing::{self, id, server},
    *,
};

fn named(hosts: &[&str]) -> Vec<(String, HostCpu)> {
    let all = testing::all();
    let find = |name: &&str| all.iter().find(|(host, _)| host == name).unwrap().clone();
    hosts.iter().map(find).map(|(name, host)| (name.to_owned(), host)).collect()
}

fn of(hosts: &[&str]) -> Baseline {
    Baseline::of(&named(hosts)).unwrap()
}

const INTEL: [&str; 7] = [
    "bochs-haswell",
    "software-kvm",
    "broadwell-ep",
    "cascade-lake",
    "ice-lake",
    "sapphire-rapids",
    "granite-rapids",
];
const AMD: [&str; 5] = ["qemu-tcg-epyc", "naples", "rome", "milan", "genoa"];

/// Each set of two or three of a maker's recorded hosts, and all of them.
fn groups() -> Vec<Vec<&'static str>> {
    let mut groups = vec![INTEL.to_vec(), AMD.to_vec(), vec!["dhyana"]];
    for makers in [&INTEL[..], &AMD[..]] {
        for (number, a) in makers.iter().enumerate() {
            groups.push(vec![a]);
            for (next, b) in makers.iter().enumerate().skip(number + 1) {
                groups.push(vec![a, b]);
                groups.extend(makers.iter().skip(next + 1).map(|c| vec![*a, *b, *c]));
            }
        }
    }
    groups
}

#[test]
fn every_host_gives_all_of_it_and_the_same() {
    let topology = Topology::flat(1).unwrap();
    for group in groups() {
        let hosts = named(&group);
        let spec = Baseline::of(&hosts).unwrap().spec.to_string();
        let strict: CpuSpec = format!("{spec},enforce").parse().unwrap();
        let profiles: Vec<_> =
            hosts.iter().map(|(_, host)| CpuProfile::resolve(host, &strict, &topology).unwrap()).collect();
        for profile in &profiles[1..] {
            assert_eq!(profile.leaves(0), profiles[0].leaves(0), "{group:?}: {spec}");
            assert_eq!(profile.capability_msrs(), profiles[0].capability_msrs(), "{group:?}: {spec}");
        }
        // What KVM reads back is what it was given.
        for ((name, host), profile) in hosts.iter().zip(&profiles) {
            assert_eq!(profile.verify(0, &profile.cpuid(0)), [], "{name}");
            let width = host.physical_address_width();
            assert!(profile.physical_address_width() <= width, "{name}");
        }
    }
}

#[test]
fn a_baseline_has_everything_that_all_hosts_have() {
    for group in groups() {
        let hosts = named(&group);
        let baseline = Baseline::of(&hosts).unwrap();
        let offers: Vec<_> = hosts.iter().map(|(_, host)| Offer::new(host).unwrap()).collect();
        let shared = intersection(offers.iter().map(|offer| offer.features));
        let lost = shared - baseline.profile.features();
        // As with host-model, and what has another place in the area of XSAVE.
        let known = FeatureSet::parse(
            "invtsc hle rtm full-width-write pdcm perfctr-core perfctr-nb perfmon-v2 arch-lbr pku",
        );
        assert_eq!(lost - known, FeatureSet::default(), "{group:?}");
        for LeftOut { feature, lacking } in &baseline.left_out {
            for (number, offer) in offers.iter().enumerate() {
                assert_eq!(
                    lacking.contains(&number),
                    !offer.features.contains(*feature),
                    "{group:?} {feature}"
                );
            }
        }
    }
}

#[test]
fn one_host_has_its_host_model() {
    for (name, host) in testing::all() {
        let host_model = testing::resolve(&host, "host-model").unwrap();
        let baseline = Baseline::of(&[(name.to_owned(), host)]).unwrap();
        assert_eq!(baseline.profile.features(), host_model.features(), "{name}");
        assert_eq!(baseline.spec.model, host_model.canonical().model, "{name}");
    }
}

#[test]
fn the_order_of_hosts_does_not_count() {
    for group in groups() {
        let spec = of(&group).spec;
        let mut turned = group.clone();
        for _ in &group {
            turned.rotate_left(1);
            assert_eq!(of(&turned).spec, spec, "{turned:?}");
        }
        turned.reverse();
        assert_eq!(of(&turned).spec, spec, "{turned:?}");
    }
}

#[test]
fn the_result_is_its_own_baseline() {
    for group in groups() {
        let spec = of(&group).spec;
        assert_eq!(spec.to_string().parse::<CpuSpec>().unwrap(), spec, "{group:?}");
    }
}

#[test]
fn servers_of_several_generations_share_the_oldest_ones_model() {
    let models = [
        (&["ice-lake", "cascade-lake"][..], "Cascadelake-Server"),
        (&["sapphire-rapids", "granite-rapids"], "SapphireRapids"),
        // The newer one has no TSX.
        (&["broadwell-ep", "granite-rapids"], "Broadwell-noTSX"),
        (&["genoa", "milan"], "EPYC-Milan"),
        (&["genoa", "naples", "rome"], "EPYC"),
    ];
    for (hosts, model) in models {
        assert_eq!(of(hosts).spec.model.to_string(), model, "{hosts:?}");
    }
}

#[test]
fn nesting_is_intersected_bit_by_bit() {
    let baseline = of(&["broadwell-ep", "granite-rapids"]);
    let has = |name| baseline.profile.features().contains(id(name));
    for (name, expected) in [
        ("vmx", true),
        ("vmx-ept", true),
        ("vmx-shadow-vmcs", true),
        ("vmx-pml", server_has("broadwell-ep", "vmx-pml")),
        ("vmx-tsc-scaling", false),
        ("vmx-page-walk-5", false),
    ] {
        assert_eq!(has(name), expected, "{name}");
    }
    let [a, b] = ["broadwell-ep", "granite-rapids"].map(|name| server(name).feature_msrs);
    for index in [0x48d, 0x48e, 0x48f, 0x490, 0x48b] {
        let given = baseline.profile.capability_msrs()[&index];
        let most = a[&index] & b[&index] & 0xffff_ffff_0000_0000;
        assert_eq!(given & 0xffff_ffff_0000_0000, most, "MSR {index:#x}");
    }
    // Without nesting on one of them there is none, and not half of it.
    let none = of(&["software-kvm", "granite-rapids"]);
    assert!(!none.profile.features().contains(id("vmx")));
    assert!((none.profile.features() & *VMX_PARTS).is_empty());
}

fn server_has(name: &str, feature: &str) -> bool {
    Offer::new(&server(name)).unwrap().features.contains(id(feature))
}

#[test]
fn makers_are_not_mixed() {
    let error = Baseline::of(&named(&["ice-lake", "cascade-lake", "milan"])).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("ice-lake is Intel's processor and milan is AMD's"), "{text}");
    // Hygon's Zen is no EPYC.
    assert!(matches!(Baseline::of(&named(&["naples", "dhyana"])), Err(BaselineError::Makers { .. })));
    assert_eq!(Baseline::of(&[]).unwrap_err(), BaselineError::NoHosts);
}

/// State that lies elsewhere on another host would be read from the wrong place there.
#[test]
fn state_at_another_place_is_left_out() {
    let mut hosts = named(&["sapphire-rapids", "granite-rapids"]);
    let before = Baseline::of(&hosts).unwrap();
    assert!(before.profile.features().contains(id("pku")));
    let moved = hosts[1].1.supported.0.get_mut(&Leaf::sub(0xd, 9)).unwrap();
    moved.ebx += 64;
    let baseline = Baseline::of(&hosts).unwrap();
    assert!(!baseline.profile.features().contains(id("pku")));
    let pku = baseline.left_out.iter().find(|left| left.feature == id("pku")).unwrap();
    assert_eq!(pku.lacking, Vec::<usize>::new());
}

/// KVM's constants, which no word of `--cpu` is for.
#[test]
fn differences_that_no_setting_removes_are_reported() {
    let mut hosts = named(&["sapphire-rapids", "granite-rapids"]);
    *hosts[1].1.feature_msrs.get_mut(&0x480).unwrap() += 1;
    let error = Baseline::of(&hosts).unwrap_err().to_string();
    assert!(error.contains("MSR(480H)[30:0]"), "{error}");
}

#[test]
fn hosts_by_unknown_makers_share_a_level() {
    for (name, host) in testing::strangers() {
        let hosts = [(name.to_owned(), host.clone()), ("again".to_owned(), host)];
        Baseline::of(&hosts).unwrap();
    }
}
