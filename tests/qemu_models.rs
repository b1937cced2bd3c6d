//! nvmm's named models are QEMU's: what the installed QEMU says of each, and how the record of another one is made.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/definitions.rs"]
mod definitions;
#[path = "support/qmp.rs"]
mod qmp;
#[path = "support/record.rs"]
mod record;

use std::{collections::BTreeSet, path::Path};

use arch::cpu::{
    choice,
    feature::{FeatureId, FeatureSet, Place},
    model::{self, NamedModel},
};
use definitions::{Definition, Definitions};

/// What QEMU's models have that is no feature of a CPU.
const NO_FEATURES: [(&str, &str); 1] = [("x-force-cpuid-0x1f", "whether leaf 1FH tells the topology")];
/// What TCG takes from every model: it emulates no extensions of virtual 8086 mode.
const TCG_LACKS: &str = "vme";
/// What it brings: a guest is always told that it is one.
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
        let lost: FeatureSet = choice::KVM_LACKS
            .iter()
            .map(FeatureId::dependents)
            .fold(*choice::KVM_LACKS, |all, lost| all | lost);
        (model.features - lost) | *choice::KVM_BRINGS
    });
    println!("{} of QEMU {}", qemu.models.len(), qemu.version);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Writes resources/qemu/expansions.json anew, from the first qemu-system-x86_64 of the path.
#[test]
#[ignore = "it writes the record that other tests read"]
fn record_qemu() {
    record::write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/qemu/expansions.json"));
}

/// Where QEMU's models differ from nvmm's, which have `features` of the model.
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

/// A model's features as nvmm names them, but for [`NO_FEATURES`].
fn named_features(model: &Definition) -> FeatureSet {
    let none: BTreeSet<_> = NO_FEATURES.iter().map(|(name, _)| *name).collect();
    let names = model.features.iter().filter(|name| !none.contains(name.as_str()));
    names.map(|name| FeatureId::find(name).unwrap_or_else(|| panic!("nvmm has no feature {name}"))).collect()
}

/// The last leaves, raised by features as QEMU does.
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
