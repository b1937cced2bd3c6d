//! The cost of one exit of the last level, at a level below it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::hist::Names;
use super::symbols::Symbols;
use super::work::Work;
use crate::stats::{self, Counters};

/// The most rows of each kind: a report has to fit into a line of the console.
const ROWS: usize = 10;
/// The number of events, for one exit, below which they are random: a timer, another guest.
const RARE: f64 = 0.05;

/// The exits in a level's KVM for one exit of the last level. All counts are for one exit, rounded to a tenth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The kind of exit.
    pub work: Work,
    /// The number of exits that were measured.
    pub measured: u64,
    /// The exits of all levels above.
    pub exits: f64,
    /// The same by level and reason: the most frequent first, without rare ones.
    pub reasons: Vec<Reason>,
    /// The instructions in the next level's kernel that made the most exits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// The MSRs that KVM read and wrote for the next level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub msrs: Vec<Access>,
    /// The ports that KVM read and wrote for the next level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Access>,
    /// Parameters of that KVM that are relevant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Advice on how to reduce it, which the host adds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
}

/// A change to make, and the number of exits that it affects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// The number of exits.
    pub exits: f64,
    /// A sentence without its full stop.
    pub text: String,
}

/// The exits for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The level that made them. If it is not the next one, levels above it are included. None if KVM doesn't tell.
    pub level: Option<u32>,
    /// KVM's name for the reason.
    pub reason: String,
    /// Their number.
    pub exits: f64,
}

/// The exits of one instruction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The address, in hexadecimal.
    pub address: String,
    /// The function that contains it, if that is known.
    pub function: Option<String>,
    /// KVM's name for the reason.
    pub reason: String,
    /// Their number.
    pub exits: f64,
}

/// The uses of a register or port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Access {
    /// The number.
    pub number: u32,
    /// The register was written, not read.
    pub write: bool,
    /// The number of uses.
    pub times: f64,
}

impl Cost {
    /// The cost of `work` from the counts of `level`'s tracepoints; none if that work is not in them. `is_next`: the level that did the
    /// work is the next one.
    pub(super) fn traced(
        work: Work,
        level: u32,
        is_next: bool,
        counts: &Counts,
        names: &Names,
        symbols: &Symbols,
    ) -> Option<Self> {
        let own = counts.own();
        // The work is one instruction. Count it here, as the counters may have been read a bit before or after the work.
        let seen = if is_next { &own } else { &counts.nested };
        let is_work = |reason| work.reasons().contains(&names.get(reason).as_str());
        let measured =
            *seen.iter().filter(|((reason, _), _)| is_work(*reason)).map(|(_, count)| count).max()?;
        let one = |count: u64| count as f64 / measured as f64;

        let mut reasons = BTreeMap::<_, u64>::new();
        for (level, exits) in [(level + 1, &own), (level + 2, &counts.nested)] {
            for ((reason, _), count) in exits {
                *reasons.entry((Some(level), *reason)).or_default() += count;
            }
        }
        let reasons = most(reasons, one).map(|((level, reason), exits)| Reason {
            level,
            reason: names.get(reason),
            exits: tenth(exits),
        });
        let places = most(own.clone(), one).map(|((reason, address), exits)| Place {
            address: format!("{address:#x}"),
            function: symbols.name(address),
            reason: names.get(reason),
            exits: tenth(exits),
        });
        let accesses = |counts: &BTreeMap<(u32, bool), u64>| {
            let accesses = most(counts.clone(), one);
            accesses.map(|((number, write), times)| Access { number, write, times: tenth(times) }).collect()
        };
        Some(Self {
            work,
            measured,
            exits: tenth(one(counts.exits.values().sum())),
            reasons: reasons.collect(),
            // The last level is no hypervisor.
            places: if is_next { vec![] } else { places.collect() },
            msrs: accesses(&counts.msrs),
            ports: accesses(&counts.ports),
            parameters: BTreeMap::new(),
            advice: Vec::new(),
        })
    }

    /// The cost of `work` from KVM's statistics, which have the reasons for exits of all levels above together.
    pub(super) fn counted(work: Work, counters: &Counters) -> Option<Self> {
        let measured = u64::from(work.exits());
        let one = |count: u64| count as f64 / measured as f64;
        let reasons =
            stats::by_reason(counters).into_iter().map(|(reason, count)| (reason.to_owned(), count));
        let reasons = most(reasons.collect(), one);
        let reasons = reasons.map(|(reason, exits)| Reason { level: None, reason, exits: tenth(exits) });
        let exits = *counters.get("exits").filter(|_| measured > 0)?;
        Some(Self {
            work,
            measured,
            exits: tenth(one(exits)),
            reasons: reasons.collect(),
            places: vec![],
            msrs: vec![],
            ports: vec![],
            parameters: BTreeMap::new(),
            advice: vec![],
        })
    }
}

/// The most frequent ones, each for one exit.
fn most<K: Ord>(counts: BTreeMap<K, u64>, one: impl Fn(u64) -> f64) -> impl Iterator<Item = (K, f64)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count)| Reverse(count));
    let counts = counts.into_iter().map(move |(key, count)| (key, one(count)));
    counts.take_while(|&(_, count)| count >= RARE).take(ROWS)
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
#[path = "cost_test.rs"]
mod tests;
