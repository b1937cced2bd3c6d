use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::cpu::{host::HostCpu, testing, vmx::Controls};

fn id(name: &str) -> FeatureId {
    FeatureId::find(name).unwrap_or_else(|| panic!("no feature {name}"))
}

fn rows() -> impl Iterator<Item = &'static Feature> {
    FeatureId::all().map(FeatureId::feature)
}

#[test]
fn every_name_is_one_features() {
    let mut owners = BTreeMap::new();
    for row in rows() {
        for name in row.aliases.iter().chain([&row.name]) {
            assert_eq!(normal(name), *name, "names are in lower case, with dashes");
            assert_eq!(owners.insert(name, row.name), None, "{name} is there twice");
            assert_eq!(id(name).feature(), row);
        }
    }
    assert!(rows().count() > 400);
}

#[test]
fn every_bit_is_one_features() {
    let mut owners = BTreeMap::new();
    for row in rows() {
        let width = if matches!(row.place, Place::Msr(..)) { 64 } else { 32 };
        let (Place::Cpuid(_, _, bit) | Place::Msr(_, bit) | Place::Control(_, bit)) = row.place;
        assert!(bit < width, "{row:?}");
        assert_eq!(owners.insert(row.place.to_string(), row.name), None, "{} has two names", row.place);
        assert!(!row.about.is_empty() && row.about.len() <= 60, "{row:?}");
    }
}

#[test]
fn controls_are_in_msrs_that_pair_their_bits() {
    let pairs = [0x48b, 0x48d, 0x48e, 0x48f, 0x490];
    for row in rows() {
        match row.place {
            Place::Control(index, _) => assert!(pairs.contains(&index), "{row:?}"),
            Place::Msr(index, _) => assert!(!pairs.contains(&index), "{row:?}"),
            Place::Cpuid(..) => {}
        }
    }
}

#[test]
fn needs_are_features_and_have_an_end() {
    for id in FeatureId::all() {
        let row = id.feature();
        assert_eq!(id.needs().len(), row.needs.len(), "{row:?} needs what isn't there");
        assert_eq!(id.together().len(), 1 + u32::try_from(row.with.len()).unwrap(), "{row:?}");
        assert!(id.needs().iter().all(|need| need.dependents().contains(id)));
    }
    // With what needs nothing first, each feature finds its place after those that it needs.
    let mut placed = FeatureSet::default();
    loop {
        let next: FeatureSet = FeatureId::all()
            .filter(|id| !placed.contains(*id) && id.needs().iter().all(|need| placed.contains(*need)))
            .collect();
        if next.is_empty() {
            break;
        }
        placed = placed | next;
    }
    let round: FeatureSet = FeatureId::all().filter(|id| !placed.contains(*id)).collect();
    assert!(round.is_empty(), "{round:?} need each other");
}

#[test]
fn dependents_are_all_that_a_feature_carries() {
    let avx = id("avx").dependents();
    assert!(["avx2", "fma", "avx512f", "avx512vl", "vaes"].iter().all(|name| avx.contains(id(name))));
    assert!(!avx.contains(id("avx")) && !avx.contains(id("aes")) && !avx.contains(id("xsave")));

    let nested: FeatureSet =
        rows().filter(|row| row.name.starts_with("vmx-")).map(|row| id(row.name)).collect();
    assert_eq!(id("vmx").dependents(), nested);
    let svm: FeatureSet = FeatureId::all()
        .filter(|id| matches!(id.feature().place, Place::Cpuid(leaf, ..) if leaf.function == 0x8000_000a))
        .collect();
    assert_eq!(id("svm").dependents(), svm);
    let ept = id("vmx-ept").dependents();
    assert!(ept.contains(id("vmx-unrestricted-guest")) && !ept.contains(id("vmx-invvpid")));
    assert!(id("mpx").dependents().contains(id("vmx-entry-load-bndcfgs")));
}

/// Linux's arch/x86/kernel/cpu/cpuid-deps.c: what Linux itself no longer uses once the second is gone.
const LINUX: [(&str, &str); 72] = [
    ("fxsr", "fpu"),
    ("xsaveopt", "xsave"),
    ("xsavec", "xsave"),
    ("xsaves", "xsave"),
    ("avx", "xsave"),
    ("pku", "xsave"),
    ("mpx", "xsave"),
    ("xgetbv1", "xsave"),
    ("cmov", "fxsr"),
    ("mmx", "fxsr"),
    ("mmxext", "mmx"),
    ("fxsr-opt", "fxsr"),
    ("xsave", "fxsr"),
    ("sse", "fxsr"),
    ("sse2", "sse"),
    ("sse3", "sse2"),
    ("sse4.1", "sse2"),
    ("sse4.2", "sse2"),
    ("pclmulqdq", "sse2"),
    ("ssse3", "sse2"),
    ("f16c", "sse2"),
    ("aes", "sse2"),
    ("sha-ni", "sse2"),
    ("gfni", "sse2"),
    ("fma", "avx"),
    ("vaes", "avx"),
    ("vpclmulqdq", "avx"),
    ("avx2", "avx"),
    ("avx512f", "avx"),
    ("avx512ifma", "avx512f"),
    ("avx512pf", "avx512f"),
    ("avx512er", "avx512f"),
    ("avx512cd", "avx512f"),
    ("avx512dq", "avx512f"),
    ("avx512bw", "avx512f"),
    ("avx512vl", "avx512f"),
    ("avx512vbmi", "avx512f"),
    ("avx512vbmi2", "avx512vl"),
    ("avx512vnni", "avx512vl"),
    ("avx512bitalg", "avx512vl"),
    ("avx512-4vnniw", "avx512f"),
    ("avx512-4fmaps", "avx512f"),
    ("avx512-vpopcntdq", "avx512f"),
    ("avx512-vp2intersect", "avx512vl"),
    ("cqm-occup-llc", "cqm-llc"),
    ("cqm-mbm-total", "cqm-llc"),
    ("cqm-mbm-local", "cqm-llc"),
    ("bmec", "cqm-mbm-total"),
    ("bmec", "cqm-mbm-local"),
    ("avx512-bf16", "avx512vl"),
    ("avx512-fp16", "avx512bw"),
    ("enqcmd", "xsaves"),
    ("per-thread-mba", "mba"),
    ("sgxlc", "sgx"),
    ("sgx1", "sgx"),
    ("sgx2", "sgx1"),
    ("sgx-edeccssa", "sgx1"),
    ("xfd", "xsaves"),
    ("xfd", "xgetbv1"),
    ("amx-tile", "xfd"),
    ("amx-fp16", "amx-tile"),
    ("amx-bf16", "amx-tile"),
    ("amx-int8", "amx-tile"),
    ("cet-ss", "xsaves"),
    ("fred", "lkgs"),
    ("ssbd", "spec-ctrl"),
    ("lass", "smap"),
    ("invlpgb", "pcid"),
    // The features that QEMU switches off too (`feature_dependencies` of target/i386/cpu.c), except of VMX and SVM.
    ("fred", "wrmsrns"),
    ("perfmon-v2", "perfctr-core"),
    ("avx10-512", "avx10"),
    ("intel-pt-lip", "intel-pt"),
];
/// The ones that have no name here, as KVM offers them to no guest.
const UNNAMED: [&str; 8] = [
    "cqm-occup-llc",
    "cqm-mbm-total",
    "cqm-mbm-local",
    "bmec",
    "enqcmd",
    "per-thread-mba",
    "lass",
    "invlpgb",
];

#[test]
fn features_have_linuxs_dependencies() {
    for (feature, need) in LINUX {
        if UNNAMED.contains(&feature) {
            assert_eq!(FeatureId::find(feature), None, "{feature} has a name by now, and needs {need}");
        } else {
            assert!(id(need).dependents().contains(id(feature)), "{feature} does not need {need}");
        }
    }
}

#[test]
fn features_that_share_an_msr_or_a_version_go_together() {
    let lost = |name: &str, others: &str| {
        let kept = FeatureSet::parse(others) - id(name).dependents();
        assert!(kept.is_empty(), "without {name} there is {kept:?}");
    };
    lost("avx512f", "avx10 avx10-128 avx10-256 avx10-512 avx10-vnni-int amx-avx512");
    lost("avx512-fp16", "avx10");
    // KVM has IA32_SPEC_CTRL for a guest with spec-ctrl, and these are bits of it.
    lost("spec-ctrl", "stibp ssbd intel-psfd ipred-ctrl rrsba-ctrl bhi-ctrl ddpd-u");
    lost("xsaves", "cet-ss cet-ibt xfd amx-tile amx-int8 vmx-xsaves");
}

/// Else host-passthrough would lose features.
#[test]
fn no_recorded_host_lacks_what_its_features_need() {
    for (name, host) in testing::all() {
        let features: FeatureSet = FeatureId::all().filter(|id| has(&host, id.feature().place)).collect();
        assert!(features.len() > 50, "{name}: {features:?}");
        let lost: Vec<_> = features
            .iter()
            .flat_map(|id| id.needs().iter().map(move |need| (id, *need)))
            .filter(|(_, need)| !features.contains(*need))
            .map(|(id, need)| format!("{id} without {need}"))
            .collect();
        assert!(lost.is_empty(), "{name}: {lost:?}");
    }
}

fn has(host: &HostCpu, place: Place) -> bool {
    let msr = |index| host.feature_msrs.get(&index).copied().unwrap_or_default();
    match place {
        Place::Cpuid(leaf, register, bit) => host.supported.get(leaf).get(register) >> bit & 1 == 1,
        Place::Msr(index, bit) => msr(index) >> bit & 1 == 1,
        Place::Control(index, bit) => {
            let Controls { must_be_one, may_be_one } = msr(index).into();
            (may_be_one & !must_be_one) >> bit & 1 == 1
        }
    }
}

#[test]
fn names_are_found_however_they_are_spelled() {
    let spellings = [
        ("sse4.1", ["sse4_1", "sse4-1"]),
        ("fxsr-opt", ["fxsr_opt", "ffxsr"]),
        ("lahf-lm", ["lahf_lm", "LAHF_LM"]),
        ("kvm-pv-eoi", ["kvm_pv_eoi", "kvm-pv-eoi"]),
        ("pni", ["sse3", "SSE3"]),
        ("pclmulqdq", ["pclmuldq", "PCLMULQDQ"]),
        ("nx", ["xd", "NX"]),
        ("lm", ["i64", "LM"]),
    ];
    for (name, others) in spellings {
        assert!(others.iter().all(|other| FeatureId::find(other) == Some(id(name))), "{name}");
        assert_eq!(id(name).to_string(), name);
    }
    for none in ["", "avx-2", "vmx-", "pmu", "hv-relaxed", "osxsave"] {
        assert_eq!(FeatureId::find(none), None, "{none}");
    }
}

#[test]
fn names_that_do_not_exist_get_the_nearest() {
    assert_eq!(FeatureId::suggest("avx512_vnni")[0], "avx512vnni");
    assert_eq!(FeatureId::suggest("pclmul"), ["pclmulqdq", "vpclmulqdq"]);
    assert_eq!(FeatureId::suggest("ept"), ["est", "npt", "vmx-ept"]);
    assert_eq!(FeatureId::suggest("vmx-unrestricted")[0], "vmx-unrestricted-guest");
    assert_eq!(FeatureId::suggest("sse42"), ["sse4.2", "sse4.1", "sse4a"]);
    assert!(FeatureId::suggest("quantum").is_empty());
}

#[test]
fn one_name_may_stand_for_two_bits() {
    let clock: Vec<_> = id("kvmclock").together().iter().map(FeatureId::name).collect();
    assert_eq!(clock, ["kvmclock", "kvmclock2"]);
    assert_eq!(FeatureSet::parse("kvmclock"), id("kvmclock").together());
    assert_eq!(id("avx").together(), FeatureSet::from_iter([id("avx")]));
}

#[test]
fn places_read_as_in_the_manuals() {
    let places = [
        ("vmx", "CPUID.01H:ECX[5]", "SDM 2A, \"CPUID—CPU Identification\", leaf 01H"),
        ("xsaves", "CPUID.(EAX=0DH,ECX=1):EAX[3]", "SDM 2A, \"CPUID—CPU Identification\", leaf 0DH"),
        (
            "npt",
            "CPUID.8000000AH:EDX[0]",
            "APM 3, \"Obtaining Processor Information Via the CPUID Instruction\", function 8000_000Ah",
        ),
        ("vmx-ept", "MSR(48BH)[1]", "SDM 3D, \"VMX Capability Reporting Facility\""),
        ("vmx-true-ctls", "MSR(480H)[55]", "SDM 3D, \"VMX Capability Reporting Facility\""),
        ("rdctl-no", "MSR(10AH)[0]", "SDM 4, \"Architectural MSRs\""),
        ("kvm-steal-time", "CPUID.40000001H:EAX[5]", "Linux, Documentation/virt/kvm/x86/cpuid.rst"),
        ("xcrypt", "CPUID.C0000001H:EDX[6]", "VIA PadLock Programming Guide"),
    ];
    for (name, place, citation) in places {
        assert_eq!(id(name).feature().place.to_string(), place);
        assert_eq!(id(name).feature().place.citation(), citation);
    }
}

#[test]
fn sets_are_sets() {
    let mut set = FeatureSet::parse("avx  no-such-feature\n sse2 svm");
    assert_eq!(set.iter().map(FeatureId::name).collect::<BTreeSet<_>>(), ["avx", "sse2", "svm"].into());
    assert_eq!((set.len(), set.is_empty()), (3, false));
    set.set(id("svm"), false);
    set.set(id("vmx"), true);
    assert_eq!(set, FeatureSet::parse("sse2 avx vmx"));
    let other = FeatureSet::parse("avx lm");
    assert_eq!(set & other, FeatureSet::parse("avx"));
    assert_eq!(set | other, FeatureSet::parse("sse2 avx vmx lm"));
    assert_eq!(set - other, FeatureSet::parse("sse2 vmx"));
    assert!((set - set).is_empty());
    assert_eq!(format!("{other:?}"), r#"{"avx", "lm"}"#);

    let all: FeatureSet = FeatureId::all().collect();
    assert_eq!(usize::try_from(all.len()).unwrap(), rows().count());
}
