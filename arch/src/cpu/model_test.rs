use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{vmx::Vmx, *};
use crate::cpu::{
    cpuid::{Cpuid, Leaf},
    feature::{FeatureId, FeatureSet, Place},
    signature::Signature,
    vendor::Manual,
};

/// QEMU's own answers: resources/qemu.
const RECORD: &str = include_str!("../../../resources/qemu/expansions.json");
/// Features that QEMU has in its models and nvmm has not, and why.
const NOT_IN_TABLE: [(&str, &str); 2] = [
    ("hypervisor", "every guest is told that it is one, whatever the model"),
    (
        "x-force-cpuid-0x1f",
        "whether leaf 1FH tells the topology: it does wherever the model's last leaf isn't before it",
    ),
];
/// Features that models have without their needs, and why.
const LACKING: [(&str, &str, &str, &str); 1] =
    [("pentium", "mmx", "fxsr", "the Pentium with MMX had no FXSAVE")];
/// Models that are not QEMU's.
const OURS: [&str; 2] = ["cpu64-rhel6", "x86-64"];
/// All that nvmm promises.
const PROMISED: &str = "
    486 pentium pentium2 pentium3 athlon qemu32 kvm32 coreduo n270 qemu64 kvm64 phenom core2duo Conroe Penryn Nehalem Westmere
    SandyBridge IvyBridge Haswell Broadwell Skylake-Client Skylake-Server Cascadelake-Server Cooperlake Icelake-Server Snowridge
    SapphireRapids GraniteRapids SierraForest Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 EPYC EPYC-Rome EPYC-Milan
    EPYC-Genoa EPYC-Turin Dhyana x86-64-v1 x86-64-v2 x86-64-v3 x86-64-v4 cpu64-rhel6 Haswell-noTSX Haswell-IBRS
    Haswell-noTSX-IBRS EPYC-IBPB EPYC-v1 EPYC-v4 Icelake-Server-v6";

#[derive(Deserialize)]
struct Record {
    models: BTreeMap<String, Recorded>,
    caches: Vec<RecordedCaches>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Recorded {
    Alias(Alias),
    Model(Definition),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Alias {
    alias_of: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Definition {
    vendor: String,
    family: u32,
    model: u32,
    stepping: u32,
    level: u32,
    xlevel: u32,
    model_id: String,
    avx10_version: u32,
    features: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedCaches {
    maker: String,
    models: Vec<String>,
    leaves: Cpuid,
}

fn record() -> Record {
    serde_json::from_str(RECORD).unwrap()
}

#[test]
fn models_are_qemus() {
    let record = record();
    for (name, theirs) in &record.models {
        let ours = find(name).unwrap_or_else(|| panic!("no {name}"));
        let theirs = match theirs {
            Recorded::Model(theirs) => {
                assert_eq!(ours.alias_of, None, "{name}");
                theirs
            }
            Recorded::Alias(Alias { alias_of }) => {
                assert_eq!(ours.alias_of.as_ref(), Some(alias_of));
                let original = find(alias_of).unwrap();
                let renamed = NamedModel { name: original.name.clone(), alias_of: None, ..ours.clone() };
                assert_eq!(&renamed, original, "{name}");
                continue;
            }
        };
        assert_eq!(ours.maker, theirs.vendor, "{name}");
        assert_eq!(ours.signature, Signature::new(theirs.family, theirs.model, theirs.stepping), "{name}");
        assert_eq!(ours.brand, theirs.model_id, "{name}");
        assert_eq!(ours.avx10, theirs.avx10_version, "{name}");
        let mut expected = FeatureSet::default();
        for feature in
            theirs.features.iter().filter(|feature| NOT_IN_TABLE.iter().all(|(not, _)| not != feature))
        {
            assert!(FeatureId::find(feature).is_some(), "no {feature}");
            // Some names stand for more than one bit.
            expected = expected | FeatureSet::parse(feature);
        }
        assert_eq!(ours.features - expected, FeatureSet::default(), "{name} has more than QEMU's");
        assert_eq!(expected - ours.features, FeatureSet::default(), "{name} has less than QEMU's");
        assert_eq!(raised(ours), [theirs.level, theirs.xlevel], "{name}");
    }
    // Each reason is needed.
    for (not, _) in NOT_IN_TABLE {
        let has =
            |recorded: &Recorded| matches!(recorded, Recorded::Model(model) if model.features.contains(not));
        assert!(record.models.values().any(has), "{not}");
    }
    let more = all().filter(|model| !record.models.contains_key(&model.name));
    let more: BTreeSet<_> =
        more.map(|model| OURS.iter().find(|name| model.name.starts_with(*name))).collect();
    assert_eq!(more, OURS.iter().map(Some).collect());
}

#[test]
fn caches_are_qemus() {
    let mut compared = 0;
    for RecordedCaches { maker, models, mut leaves } in record().caches {
        let age = leaves.0.remove(&Leaf::new(1)).unwrap().eax;
        for name in models {
            let model = find(&name).unwrap();
            let manual = if maker == "AuthenticAMD" { Manual::Amd } else { Manual::Intel };
            let [level, xlevel] = raised(model);
            let last = |leaf: Leaf| if leaf.function < 0x8000_0000 { level } else { xlevel };
            let ours =
                model.caches.leaves(manual).into_iter().filter(|(leaf, _)| leaf.function <= last(*leaf));
            assert_eq!(Cpuid(ours.collect()), leaves, "{name} of {maker}");
            // The family, model and stepping are said in one more way.
            let [stepping, low, family, high, more] =
                [age & 0xf, age >> 4 & 0xf, age >> 8 & 0xf, age >> 16 & 0xf, age >> 20 & 0xff];
            assert_eq!(model.signature, Signature::new(family + more, high << 4 | low, stepping), "{name}");
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared}");
}

/// The last leaves, raised by the model's own features, as an expansion has them.
fn raised(model: &NamedModel) -> [u32; 2] {
    let functions = model.features.iter().filter_map(|id| match id.feature().place {
        // SVM has a leaf of its own.
        Place::Cpuid(..) if id.name() == "svm" => Some(0x8000_000a),
        Place::Cpuid(leaf, ..) => Some(leaf.function),
        Place::Msr(..) | Place::Control(..) => None,
    });
    let [mut level, mut xlevel] = [model.level, model.xlevel];
    for function in functions {
        match function {
            0..0x4000_0000 => level = level.max(function),
            0x8000_0000..0xc000_0000 => xlevel = xlevel.max(function),
            _ => {}
        }
    }
    [level, xlevel]
}

#[test]
fn promised_features_are_present() {
    for name in PROMISED.split_whitespace() {
        assert!(find(name).is_some(), "{name}");
    }
    for (name, alias_of) in
        [("Haswell-noTSX", "Haswell-v2"), ("EPYC-IBPB", "EPYC-v2"), ("qemu64", "qemu64-v1")]
    {
        assert_eq!(find(name).unwrap().alias_of.as_deref(), Some(alias_of));
    }
    assert_eq!(find("haswell"), None);
    assert_eq!(find("EPYC-v0"), None);
    assert_eq!(suggest("haswell-noTSX").first(), Some(&"Haswell-noTSX"));
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<_> = all().map(|model| &model.name).collect();
    assert_eq!(names.len(), all().count());
}

#[test]
fn table_names_features_that_there_are_in_order() {
    let sorted = |text: &str, of: &str| {
        let names: Vec<_> = text.split_whitespace().collect();
        assert!(names.is_sorted(), "{of}: {names:?}");
        for name in names {
            assert_eq!(FeatureId::find(name).map(FeatureId::name), Some(name), "{of}");
        }
    };
    for model in PARTS.into_iter().flatten() {
        sorted(model.features, model.name);
        assert!(!model.features.contains("vmx"), "{}", model.name);
        for version in model.versions {
            sorted(version.added, model.name);
            sorted(version.removed, model.name);
        }
        let mut vmx = model.vmx;
        while let Some(Vmx { like, added, removed }) = vmx {
            sorted(added, model.name);
            sorted(removed, model.name);
            let base = like.map_or_else(FeatureSet::default, Vmx::features);
            check_changes(base, added, removed, model.name);
            vmx = *like;
        }
    }
}

#[test]
fn versions_change_what_they_say() {
    for model in PARTS.into_iter().flatten() {
        for (number, version) in (1..).zip(model.versions) {
            let before = find(&format!("{}-v{number}", model.name)).unwrap();
            check_changes(before.features, version.added, version.removed, &before.name);
            let after = find(&format!("{}-v{}", model.name, number + 1)).unwrap();
            assert_eq!(after.version, number + 1);
            let same = NamedModel { name: after.name.clone(), version: after.version, ..before.clone() };
            assert_ne!(&same, after, "nothing changes after {}", before.name);
        }
    }
}

fn check_changes(before: FeatureSet, added: &str, removed: &str, name: &str) {
    let [added, removed] = [added, removed].map(FeatureSet::parse);
    assert!((before & added).is_empty(), "{name} has {:?} already", before & added);
    assert!((removed - before).is_empty(), "{name} has no {:?}", removed - before);
}

/// Except nesting, which is off unless it is asked for.
#[test]
fn models_have_what_their_features_need() {
    let mut lacking = BTreeSet::new();
    for model in all() {
        for id in model.features.iter() {
            let unmet = id.needs().iter().filter(|need| !model.features.contains(**need));
            let unmet = unmet.filter(|need| need.name() != "vmx");
            lacking.extend(unmet.map(|need| (model.generation().to_owned(), id.name(), need.name())));
        }
        assert!(!model.features.contains(FeatureId::find("vmx").unwrap()), "{}", model.name);
    }
    let known = LACKING.map(|(model, id, need, _)| (model.to_owned(), id, need));
    assert_eq!(lacking, known.into());
}

#[test]
fn levels_of_x86_64_are_the_psabis() {
    let [one, two, three, four] =
        [1, 2, 3, 4].map(|level| find(&format!("x86-64-v{level}")).unwrap().features);
    let named = |names: &str| FeatureSet::parse(names);
    assert_eq!(named("cmov cx8 fpu fxsr mmx syscall sse sse2") - one, FeatureSet::default());
    assert_eq!(two - one, named("cx16 lahf-lm popcnt sse3 sse4.1 sse4.2 ssse3"));
    assert_eq!(three - two, named("avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"));
    assert_eq!(four - three, named("avx512f avx512bw avx512cd avx512dq avx512vl"));
    assert_eq!(find("x86-64-v3").unwrap().vendor(), None);
}
