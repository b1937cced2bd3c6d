use std::collections::BTreeSet;

use super::*;
use crate::cpu::model;

/// Models whose signature is another generation's processor, and why.
const NOT_THEIRS: [(&str, &str); 1] = [("Icelake-Server", "QEMU has the number of Snow Ridge in it")];

fn generations(family: u32, model: u32, stepping: u32) -> Vec<&'static str> {
    let signature = Signature::new(family, model, stepping);
    PROCESSORS.iter().filter(|row| row.contain(signature)).map(|row| row.generation).collect()
}

#[test]
fn rows_are_of_models_that_there_are() {
    let names: BTreeSet<_> = model::all().map(model::NamedModel::generation).collect();
    let rows: BTreeSet<_> = PROCESSORS.iter().map(|row| row.generation).collect();
    assert_eq!(rows.len(), PROCESSORS.len(), "each generation has one row");
    assert!(rows.is_subset(&names), "{:?}", rows.difference(&names));
}

#[test]
fn no_processor_is_of_two_generations() {
    for (family, model, stepping) in (4..=26).flat_map(|family| {
        (0..=255).flat_map(move |model| (0..=15).map(move |stepping| (family, model, stepping)))
    }) {
        let found = generations(family, model, stepping);
        assert!(found.len() <= 1, "{family}/{model}/{stepping}: {found:?}");
    }
}

#[test]
fn models_are_of_their_own_generation() {
    for row in PROCESSORS {
        let model = model::find(row.generation).unwrap();
        let not = NOT_THEIRS.iter().any(|(name, _)| *name == row.generation);
        assert_eq!(row.contain(model.signature), !not, "{}", row.generation);
        assert!(model.is_of(model.signature), "{}", row.generation);
    }
}

#[test]
fn processors_are_of_the_generations_that_they_are_sold_as() {
    let known = [
        ("Core i7-4770", (6, 60, 3), "Haswell"),
        ("Xeon E5-2650 v3", (6, 63, 2), "Haswell"),
        ("Xeon D-1541", (6, 86, 2), "Broadwell"),
        ("Core i9-7900X", (6, 85, 4), "Skylake-Server"),
        ("Xeon Gold 6252", (6, 85, 7), "Cascadelake-Server"),
        ("Core i9-10980XE", (6, 85, 7), "Cascadelake-Server"),
        ("Core i9-9900K", (6, 158, 12), "Skylake-Client"),
        ("Core i9-10900K", (6, 165, 5), "Skylake-Client"),
        ("Xeon Platinum 8592+", (6, 207, 2), "SapphireRapids"),
        ("Core 2 Duo E6850", (6, 15, 11), "Conroe"),
        ("Atom D510", (6, 28, 10), "n270"),
        ("Celeron N5105", (6, 156, 0), "Snowridge"),
        ("A10-5800K", (21, 16, 1), "Opteron_G5"),
        ("Phenom II X4 B95", (16, 4, 2), "Opteron_G3"),
        ("Ryzen 7 2700X", (23, 8, 2), "EPYC"),
        ("Ryzen 5 3400G", (23, 24, 1), "EPYC"),
        ("Ryzen 9 3900X", (23, 113, 0), "EPYC-Rome"),
        ("Ryzen 9 5950X", (25, 33, 0), "EPYC-Milan"),
        ("Ryzen 7 5800H", (25, 80, 0), "EPYC-Milan"),
        ("Ryzen 9 7950X", (25, 97, 2), "EPYC-Genoa"),
        ("Ryzen 7 7840U", (25, 116, 1), "EPYC-Genoa"),
        ("Ryzen 9 9950X", (26, 68, 0), "EPYC-Turin"),
    ];
    for (name, (family, model, stepping), generation) in known {
        assert_eq!(generations(family, model, stepping), [generation], "{name}");
    }
    // Alder Lake, with cores of two kinds, is none of them.
    assert!(generations(6, 151, 2).is_empty());
}

#[test]
fn signatures_are_read_as_they_are_written() {
    for model in model::all() {
        assert_eq!(Signature::decode(model.signature.encode()), model.signature, "{}", model.name);
    }
    let known = [
        (0x0006_07b1, (7, 107, 1)),
        (0x0090_0f22, (24, 2, 2)),
        (0x00a2_0f10, (25, 33, 0)),
        (0x0003_0543, (5, 4, 3)),
    ];
    for (eax, (family, model, stepping)) in known {
        assert_eq!(Signature::decode(eax), Signature::new(family, model, stepping), "{eax:#x}");
    }
}
