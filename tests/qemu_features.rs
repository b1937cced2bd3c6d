//! The installed QEMU has each feature at nvmm's bit, and none that nvmm doesn't know.
//!
//! No guest runs: QEMU reports the result of `-cpu base,+feature...` over QMP and by its warnings. Features that this QEMU is too old for
//! are left out. Bits of the KVM leaf need a KVM.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/qmp.rs"]
mod qmp;

use std::collections::{BTreeMap, BTreeSet};

use arch::cpu::feature::{FeatureId, FeatureSet, Place};
use qmp::Qemu;
use serde_json::{Value, json};

/// Switches of QEMU's CPUs that are not CPU features.
const NO_FEATURES: [(&str, &str); 21] = [
    ("check", "what to do about unmet features"),
    ("cpuid-0xb", "leaf 0BH of old machines"),
    ("enforce", "what to do about unmet features"),
    ("fill-mtrr-mask", "MTRRs of old machines"),
    ("full-cpuid-auto-level", "maximum leaf of old machines"),
    ("host-cache-info", "where caches come from"),
    ("host-phys-bits", "where the address width comes from"),
    ("kvm", "whether the KVM leaves are there"),
    ("kvm-no-smi-migration", "migration of old machines"),
    ("kvm-pv-enforce-cpuid", "whether KVM minds its own leaf"),
    ("l3-cache", "which caches are told"),
    ("legacy-cache", "which caches are told"),
    ("legacy-multi-node", "topology of old machines"),
    ("lmce", "local machine checks: no bit of CPUID"),
    ("migratable", "which features `host` has"),
    ("pmu", "whether performance counters are emulated"),
    ("realized", "life of QEMU's objects"),
    ("start-powered-off", "life of QEMU's objects"),
    ("tcg-cpuid", "leaves of QEMU's own emulator"),
    ("vmware-cpuid-freq", "leaf of VMware"),
    ("xen-vapic", "leaf of Xen"),
];
/// More of them, by prefix: Hyper-V's leaves, and switches that QEMU doesn't guarantee to keep.
const NO_FEATURE_PREFIXES: [&str; 2] = ["hv-", "x-"];

/// Leaf 0DH follows from its contents: it has no features of its own, except in EAX of its subleaf 1.
const XSAVE: &str = "CPUID.(EAX=0DH,ECX=";
const KVM_LEAF: u32 = 0x4000_0001;

/// The switches that this QEMU's CPUs have, or `None`, with the reason printed, if there is no QEMU.
fn switches() -> Option<BTreeSet<String>> {
    let mut qemu = Qemu::start(&["-machine", "none"]).map_err(|why| println!("skipped: {why}")).ok()?;
    let arguments = json!({ "type": "full", "model": { "name": "base" } });
    let expansion = qemu.ask("query-cpu-model-expansion", &arguments).unwrap();
    let properties = expansion["model"]["props"].as_object().unwrap();
    Some(properties.iter().filter(|(_, value)| value.is_boolean()).map(|(name, _)| name.clone()).collect())
}

/// The features at some places that this QEMU knows.
fn known(switches: &BTreeSet<String>, place: impl Fn(Place) -> bool) -> Vec<FeatureId> {
    let here: Vec<_> = FeatureId::all().filter(|id| place(id.feature().place)).collect();
    let (known, unknown): (Vec<_>, Vec<_>) = here.into_iter().partition(|id| switches.contains(id.name()));
    println!("{} features; no names in this QEMU: {unknown:?}", known.len());
    known
}

/// A CPU with these features and no others.
fn cpu<'a>(features: impl Iterator<Item = &'a FeatureId>) -> String {
    features.fold("base,pmu=on".to_owned(), |cpu, id| format!("{cpu},{id}=on"))
}

/// Finds QEMU's bits of each of the features with few runs: run `k` enables the features with bit `k` in their number, so that the runs in
/// which a bit is set give the number of its feature.
fn places(features: &[FeatureId], accelerator: &str) -> Result<BTreeMap<String, Option<FeatureId>>, String> {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    for run in 0..=features.len().ilog2() {
        let chosen = (1..).zip(features).filter(|(number, _): &(usize, _)| number >> run & 1 == 1);
        let cpu = cpu(chosen.map(|(_, id)| id));
        for bit in bits(&["-machine", "q35", "-accel", accelerator, "-cpu", &cpu])? {
            *numbers.entry(bit).or_default() |= 1 << run;
        }
    }
    Ok(numbers.into_iter().map(|(bit, number)| (bit, features.get(number - 1).copied())).collect())
}

/// The requested CPUID bits: those that the CPU has, and those that the accelerator doesn't support.
fn bits(args: &[&str]) -> Result<BTreeSet<String>, String> {
    let mut qemu = Qemu::start(args)?;
    let mut bits = BTreeSet::new();
    for property in ["feature-words", "filtered-features"] {
        let arguments = json!({ "path": "/machine/unattached/device[0]", "property": property });
        for word in qemu.ask("qom-get", &arguments)?.as_array().unwrap() {
            let leaf = leaf(word);
            let features = word["features"].as_u64().unwrap();
            let set = (0..32).filter(|bit| features >> bit & 1 == 1);
            bits.extend(set.map(|bit| format!("{leaf}:{}[{bit}]", word["cpuid-register"].as_str().unwrap())));
        }
    }
    Ok(bits)
}

/// A leaf in nvmm's notation.
fn leaf(word: &Value) -> String {
    let function = word["cpuid-input-eax"].as_u64().unwrap();
    match word["cpuid-input-ecx"].as_u64() {
        Some(index) => format!("CPUID.(EAX={function:02X}H,ECX={index})"),
        None => format!("CPUID.{function:02X}H"),
    }
}

/// The bits that a feature's name stands for.
fn expected(features: &[FeatureId]) -> BTreeMap<String, Option<FeatureId>> {
    let bits = |&id: &FeatureId| {
        let places: Vec<_> = id.together().iter().map(|part| part.feature().place.to_string()).collect();
        places.into_iter().map(move |place| (place, Some(id)))
    };
    features.iter().flat_map(bits).collect()
}

#[test]
fn every_switch_of_qemu_is_known() {
    let Some(switches) = switches() else { return };
    let other = |name: &str| {
        NO_FEATURES.iter().any(|(other, _)| *other == name)
            || NO_FEATURE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let unknown: Vec<_> =
        switches.iter().filter(|name| !other(name) && FeatureId::find(name).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let both: Vec<_> = FeatureId::all().filter(|id| other(id.name())).collect();
    assert!(both.is_empty(), "{both:?}");
}

#[test]
fn cpuid_features_are_where_qemu_has_them() {
    let Some(switches) = switches() else { return };
    let features =
        known(&switches, |place| matches!(place, Place::Cpuid(leaf, ..) if leaf.function != KVM_LEAF));
    assert!(features.len() > 200);
    let expected = expected(&features);
    let mut places = places(&features, "tcg").unwrap();
    places.retain(|bit, _| !bit.starts_with(XSAVE) || expected.contains_key(bit));
    assert_eq!(places, expected);
}

#[test]
fn kvm_features_are_where_qemu_has_them() {
    let Some(switches) = switches() else { return };
    let features =
        known(&switches, |place| matches!(place, Place::Cpuid(leaf, ..) if leaf.function == KVM_LEAF));
    match places(&features, "kvm") {
        Ok(places) => assert_eq!(places, expected(&features)),
        Err(why) => println!("skipped: {why}"),
    }
}

/// QEMU doesn't show its MSRs, but it shows the features it removes because another is missing.
#[test]
fn msr_features_are_where_qemu_has_them() {
    let Some(switches) = switches() else { return };
    let features = known(&switches, |place| !matches!(place, Place::Cpuid(..)));
    assert!(features.len() > 90);
    let cpu = cpu(features.iter()) + ",vmx=off,arch-capabilities=off,core-capability=off,pdcm=off";
    let warnings = Qemu::start(&["-machine", "q35", "-accel", "tcg", "-cpu", &cpu]).unwrap().end();
    // ...: MSR(48Bh).vmx-ept [bit 1]
    let place = |warning: &str| {
        let (_, place) = warning.split_once(": MSR(")?;
        let (index, place) = place.split_once(").")?;
        let (name, bit) = place.split_once(" [bit ")?;
        let place = format!("MSR({})[{bit}", index.to_uppercase());
        Some((place, FeatureId::find(name)))
    };
    let places: BTreeMap<_, _> = warnings.lines().filter_map(place).collect();
    assert_eq!(places, expected(&features));
}

/// Features that QEMU removes because another is missing must also be removed in nvmm.
#[test]
fn features_need_what_they_need_in_qemu() {
    let Some(switches) = switches() else { return };
    let features =
        known(&switches, |place| !matches!(place, Place::Cpuid(leaf, ..) if leaf.function == KVM_LEAF));
    // Features that no other needs in nvmm are tested many at a time: for any two there is a run with one and without the other.
    let (needed, free): (Vec<FeatureId>, Vec<_>) =
        features.iter().partition(|id| !id.dependents().is_empty());
    let halves = (0..=free.len().ilog2()).flat_map(|run| {
        [0, 1].map(|half| {
            let chosen = (0..).zip(&free).filter(|(number, _): &(usize, _)| number >> run & 1 == half);
            chosen.map(|(_, id)| *id).collect()
        })
    });
    let without: Vec<FeatureSet> =
        needed.into_iter().map(|id| FeatureSet::from_iter([id])).chain(halves).collect();

    let mut seen = 0;
    for without in &without {
        let off: String = without.iter().map(|id| format!(",{id}=off")).collect();
        let cpu = cpu(features.iter()) + &off;
        let warnings = Qemu::start(&["-machine", "q35", "-accel", "tcg", "-cpu", &cpu]).unwrap().end();
        // ...depends on other features that were not requested: MSR(48Bh).vmx-ept [bit 1]
        let name = |warning: &str| {
            let (_, place) = warning.split_once("not requested: ")?;
            let (place, _) = place.split_once(" [bit ")?;
            FeatureId::find(place.rsplit_once('.')?.1)
        };
        let lost: Vec<_> = warnings.lines().filter_map(name).collect();
        seen += lost.len();
        let carried = without.iter().fold(FeatureSet::default(), |set, id| set | id.dependents());
        let kept = lost.iter().filter(|id| (id.together() & carried).is_empty()).map(|id| id.name());
        let kept: Vec<_> = kept.collect();
        // AVX10's lengths depend on each other, and AVX10 on having one: without the shortest, all of it is removed.
        if without.iter().eq(FeatureId::find("avx10-128")) {
            assert_eq!(kept, ["avx10", "avx10-vnni-int"]);
        } else {
            assert!(kept.is_empty(), "without {without:?} there is still {kept:?}");
        }
    }
    assert!(seen > 150, "{seen}");
}
