//! Features that a level's CPU lacks although the one below has them, and the reverse.

use std::collections::BTreeSet;

use crate::nest::record::{LevelRecord, Record};

/// A level compared with the one that runs it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference<'a> {
    pub(super) below: u32,
    pub(super) level: u32,
    /// Features that only the one below has.
    pub(super) lacks: BTreeSet<&'a str>,
    /// Features that only the level has.
    pub(super) gains: BTreeSet<&'a str>,
    /// The number of features that both have.
    pub(super) same: usize,
}

/// Compares each level that reported its features with the nearest one below that did.
pub(super) fn differences(record: &Record) -> Vec<Difference<'_>> {
    let told: Vec<_> =
        record.levels.iter().filter_map(|level| Some((level.level, features(level)?))).collect();
    let pairs = told.windows(2).filter_map(|pair| match pair {
        [(below, theirs), (level, ours)] => Some(Difference {
            below: *below,
            level: *level,
            lacks: theirs.difference(ours).copied().collect(),
            gains: ours.difference(theirs).copied().collect(),
            same: ours.intersection(theirs).count(),
        }),
        _ => None,
    });
    pairs.collect()
}

fn features(level: &LevelRecord) -> Option<BTreeSet<&str>> {
    let features = &level.facts.as_ref()?.features;
    (!features.is_empty()).then(|| features.iter().map(String::as_str).collect())
}
