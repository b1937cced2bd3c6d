//! nvmm's named models equal QEMU's: a comparison with the installed QEMU, and the recorder for another one.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/definitions.rs"]
mod definitions;
#[path = "support/qmp.rs"]
mod qmp;
#[path = "support/record.rs"]
mod record;

use std::{collections::BTreeSet, path::Path};

use arch::cpu::{
    feature::{FeatureId, FeatureSet, Place},
    model::{self, NamedModel},
    sets,
    spec::{CpuSpec, SpecError},
};
use definitions::{Definition, Definitions};
use qmp::Qemu;
use serde_json::json;

/// Switches of QEMU's models that are not CPU features.
const NO_FEATURES: [(&str, &str); 1] = [("x-force-cpuid-0x1f", "whether leaf 1FH tells the topology")];
/// A feature that TCG removes from every model: it doesn't emulate virtual 8086 mode extensions.
const TCG_LACKS: &str = "vme";
/// A feature that TCG adds: a guest always sees that it runs under a hypervisor.
const TCG_BRINGS: &str = "hypervisor";

#[test]
fn the_installed_qemu_has_the_same_models() {
    let qemu = match Definitions::ask("tcg") {
        Ok(qemu) => qemu,
        Err(why) => return println!("skipped: {why}"),
    };
    let [lacks, brings] = [TCG_LACKS, TCG_BRINGS].map(FeatureSet::parse);
    let differences = compare(&qemu, |model| (model.features - lacks) | brings);
    println!("{} of QEMU {}", qemu.models.len(), qemu.version);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn the_installed_qemu_has_the_same_models_on_kvm() {
    let qemu = match Definitions::ask("kvm") {
        Ok(qemu) => qemu,
        Err(why) => return println!("skipped: {why}"),
    };
    let differences = compare(&qemu, |model| {
        let lost: FeatureSet =
            sets::KVM_LACKS.iter().map(FeatureId::dependents).fold(*sets::KVM_LACKS, |all, lost| all | lost);
        (model.features - lost) | *sets::KVM_BRINGS
    });
    println!("{} of QEMU {}", qemu.models.len(), qemu.version);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Values of properties, and whether they are valid. The last valid and the first invalid one are next to each other.
const VALUES: [(&str, &str, bool); 22] = [
    ("vendor", "GenuineIntel", true),
    ("vendor", "GenuineInte", false),
    ("vendor", "GenuineIntel1", false),
    ("family", "270", true),
    ("family", "271", false),
    ("model", "255", true),
    ("model", "256", false),
    ("stepping", "15", true),
    ("stepping", "16", false),
    ("stepping", "-1", false),
    ("model-id", "One of mine", true),
    ("level", "13", true),
    ("min-level", "13", true),
    ("xlevel", "2147483656", true),
    ("min-xlevel", "2147483656", true),
    ("tsc-frequency", "2500000000", true),
    ("tsc-frequency", "-1", false),
    ("kvm", "off", true),
    ("kvm", "maybe", false),
    ("pmu", "on", true),
    ("l3-cache", "off", true),
    ("migratable", "on", true),
];
/// The properties with a number as value instead of a text.
const NUMBERS: [&str; 8] =
    ["family", "model", "stepping", "level", "min-level", "xlevel", "min-xlevel", "tsc-frequency"];

#[test]
fn the_installed_qemu_takes_the_same_values() {
    let mut qemu = match Qemu::start(&["-machine", "none", "-accel", "tcg"]) {
        Ok(qemu) => qemu,
        Err(why) => return println!("skipped: {why}"),
    };
    for (name, value, good) in VALUES {
        let typed = match value {
            _ if NUMBERS.contains(&name) => json!(value.parse::<i64>().unwrap()),
            "on" => json!(true),
            "off" => json!(false),
            text => json!(text),
        };
        let question = json!({"type": "full", "model": {"name": "max", "props": {name: typed}}});
        let theirs = qemu.ask("query-cpu-model-expansion", &question);
        assert_eq!(theirs.is_ok(), good, "QEMU: {name}={value}: {theirs:?}");
        let ours = format!("max,{name}={value}").parse::<CpuSpec>();
        assert_eq!(ours.is_ok(), good, "nvmm: {name}={value}: {ours:?}");
    }
}

/// QEMU's properties that are not CPU features and that nvmm lacks. A command line that has one is refused with a message about it.
#[test]
fn every_property_of_the_installed_qemu_is_known_or_named() {
    let mut qemu = match Qemu::start(&["-machine", "none", "-accel", "tcg"]) {
        Ok(qemu) => qemu,
        Err(why) => return println!("skipped: {why}"),
    };
    let question = json!({"typename": "max-x86_64-cpu"});
    let properties = qemu.ask("device-list-properties", &question).unwrap();
    for property in properties.as_array().unwrap() {
        let name = property["name"].as_str().unwrap();
        let error = match format!("max,{name}").parse::<CpuSpec>() {
            Ok(_) | Err(SpecError::NoValue { .. } | SpecError::HyperV(_) | SpecError::QemuOnly(_)) => {
                continue;
            }
            Err(error) => error,
        };
        assert!(matches!(error, SpecError::PhysicalBits { .. }), "{name}: {error}");
    }
}

/// Rewrites resources/qemu/expansions.json with the answers of the first qemu-system-x86_64 in PATH.
#[test]
#[ignore = "it writes the record that other tests read"]
fn record_qemu() {
    record::write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/qemu/expansions.json"));
}

/// Lists the differences between QEMU's models and nvmm's, whose features `features` returns.
fn compare(qemu: &Definitions, features: impl Fn(&NamedModel) -> FeatureSet) -> Vec<String> {
    let known: FeatureSet = qemu.switches.iter().filter_map(|name| FeatureId::find(name)).collect();
    let mut differences = Vec::new();
    for (name, theirs) in &qemu.models {
        let Some(ours) = model::find(name) else {
            differences.push(format!("{name} is no model of nvmm"));
            continue;
        };
        let mut differ = |what: &str, ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
            let [ours, theirs] = [format!("{ours:?}"), format!("{theirs:?}")];
            if ours != theirs {
                differences.push(format!("{name}: {what}: {ours}, QEMU {theirs}"));
            }
        };
        differ("alias", &ours.alias_of, &theirs.alias_of);
        let signature = [theirs.family, theirs.model, theirs.stepping];
        differ(
            "signature",
            &[ours.signature.family, ours.signature.model, ours.signature.stepping],
            &signature,
        );
        differ("brand", &ours.brand, &theirs.model_id);
        let wanted = features(ours) & known;
        let given = named_features(theirs);
        differ("features beyond QEMU's", &(wanted - given), &FeatureSet::default());
        differ("features beyond nvmm's", &FeatureSet::default(), &(given - wanted));
        differ("levels", &levels(ours, wanted), &[theirs.level, theirs.xlevel]);
        if known.contains(FeatureId::find("avx10").unwrap()) {
            differ("AVX10", &ours.avx10, &theirs.avx10_version);
        }
    }
    differences
}

/// A model's features by nvmm's names, except [`NO_FEATURES`].
fn named_features(model: &Definition) -> FeatureSet {
    let none: BTreeSet<_> = NO_FEATURES.iter().map(|(name, _)| *name).collect();
    let names = model.features.iter().filter(|name| !none.contains(name.as_str()));
    names.map(|name| FeatureId::find(name).unwrap_or_else(|| panic!("nvmm has no feature {name}"))).collect()
}

/// The highest leaves, raised by features as in QEMU.
fn levels(model: &NamedModel, features: FeatureSet) -> [u32; 2] {
    let functions = features.iter().filter_map(|id| match id.feature().place {
        Place::Cpuid(..) if id.name() == "svm" => Some(0x8000_000a),
        Place::Cpuid(leaf, ..) => Some(leaf.function),
        _ => None,
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
