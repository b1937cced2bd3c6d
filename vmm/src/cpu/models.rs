//! Named models by family: all versions of one together.

use arch::cpu::model::{self, NamedModel};

use super::text::comma;

/// A model and its versions.
#[derive(Clone, Debug)]
pub(super) struct Family {
    /// The name without a version.
    pub(super) name: &'static str,
    /// The versions, each with its other names.
    pub(super) versions: Vec<(&'static NamedModel, Vec<&'static str>)>,
}

/// Every model, in the table's order.
pub(super) fn families() -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for model in model::all().filter(|model| model.alias_of.is_none()) {
        let name = model.name.rsplit_once("-v").map_or(model.name.as_str(), |(name, _)| name);
        let aliases = model::all().filter(|alias| alias.alias_of.as_ref() == Some(&model.name));
        let version = (model, aliases.map(|alias| alias.name.as_str()).collect());
        match families.last_mut() {
            Some(family) if family.name == name => family.versions.push(version),
            _ => families.push(Family { name, versions: vec![version] }),
        }
    }
    families
}

/// Abbreviates the list of models for which `wanted` is true: a family whose versions are all included becomes one name, and if it is
/// shorter, the missing ones are listed. `Haswell`, `Cascadelake-Server v2-v5`, `all but 486, pentium`.
pub(super) fn brief(wanted: impl Fn(&NamedModel) -> bool) -> Vec<String> {
    let families = families();
    let have = named(&families, &wanted);
    let lack = named(&families, |model| !wanted(model));
    match (have.len(), lack.len()) {
        (_, 0) => vec!["all".to_owned()],
        (0, _) => vec!["none".to_owned()],
        (many, few) if few * 3 < many => {
            let mut words = vec!["all but".to_owned()];
            words.extend(comma(lack));
            words
        }
        _ => comma(have),
    }
}

fn named(families: &[Family], wanted: impl Fn(&NamedModel) -> bool) -> Vec<String> {
    let family = |family: &Family| {
        let all = family.versions.iter();
        let has: Vec<_> = all.filter(|(model, _)| wanted(model)).map(|(model, _)| model.version).collect();
        match has.len() {
            0 => None,
            count if count == family.versions.len() => Some(family.name.to_owned()),
            _ => Some(format!("{} {}", family.name, ranges(&has))),
        }
    };
    families.iter().filter_map(family).collect()
}

/// Writes `v1 v3-v5`.
fn ranges(versions: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &version in versions {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == version => *last = version,
            _ => runs.push((version, version)),
        }
    }
    let run = |(first, last): &(u32, u32)| {
        if first == last { format!("v{first}") } else { format!("v{first}-v{last}") }
    };
    runs.iter().map(run).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "models_test.rs"]
mod tests;
