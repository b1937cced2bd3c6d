//! What is known of a run so far, level by level, and what is shown of it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::time::Duration;

use super::facts::{Facts, KVM_SIGNATURE};
use super::report::{Line, Said};

/// Lines of each level's console to keep.
const TAIL: usize = 30;

/// A run of levels up to `levels`.
#[derive(Debug)]
pub(super) struct Run {
    levels: u32,
    /// The emulator's name, if the host is one.
    emulator: Option<&'static str>,
    seen: BTreeMap<u32, Seen>,
    failure: Option<Failure>,
}

/// What a level has shown of itself.
#[derive(Debug, Default)]
struct Seen {
    /// When its VMM was started, and when its /init said so, from the start of the run.
    started: Option<Duration>,
    up: Option<Duration>,
    facts: Option<Facts>,
    disk: Disk,
    tail: VecDeque<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Disk {
    #[default]
    Unchecked,
    Claimed,
    Verified,
}

/// Where it went wrong first, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    level: u32,
    why: String,
}

impl Run {
    pub(super) fn new(levels: u32, emulator: Option<&'static str>) -> Self {
        Self { levels, emulator, seen: BTreeMap::new(), failure: None }
    }

    /// Takes in a line that came `at` that time from the start; gives what to show of it, if it is progress.
    pub(super) fn take(&mut self, line: &Line, at: Duration) -> Option<String> {
        let Line { level, said } = line;
        // A broken level may claim to be any other.
        if *level > self.levels {
            return None;
        }
        let ran_by = self.ran_by(*level);
        let seen = self.seen.entry(*level).or_default();
        let progress = match said {
            Said::Start => {
                seen.started = Some(at);
                "starting".to_owned()
            }
            Said::Up(facts) => {
                let mut progress = format!("Linux {} on {}", facts.kernel, facts.cpu);
                if !facts.nesting.is_empty() {
                    let _ = write!(progress, " with {}", facts.nesting);
                }
                let not_kvm = *level > 0 && facts.hypervisor != KVM_SIGNATURE;
                let hypervisor = facts.hypervisor.clone();
                seen.facts = Some(facts.clone());
                seen.up = Some(at);
                if not_kvm {
                    self.fail(*level, format!("it runs on {hypervisor:?} by CPUID, not on KVM"));
                }
                let _ = write!(progress, ", {ran_by}");
                progress
            }
            Said::Disk { .. } => {
                seen.disk = Disk::Claimed;
                "disk read, written and read back".to_owned()
            }
            Said::Done => {
                seen.disk = Disk::Verified;
                "powered off; its disk is the same from outside".to_owned()
            }
            Said::Fail(why) => {
                self.fail(*level, why.clone());
                format!("failed: {why}")
            }
            Said::Off => return None,
            Said::Text(text) => {
                if seen.tail.len() == TAIL {
                    seen.tail.pop_front();
                }
                seen.tail.push_back(printable(text));
                return None;
            }
        };
        Some(format!("level {level}: {progress}"))
    }

    /// Notes a failure of `level`; only the first one counts.
    pub(super) fn fail(&mut self, level: u32, why: String) {
        self.failure.get_or_insert(Failure { level, why });
    }

    /// Notes that the time was up.
    pub(super) fn time_out(&mut self, limit: Duration) {
        let (level, doing) = self.whereabouts();
        self.fail(level, format!("timed out {doing}, {} s after the start", limit.as_secs()));
    }

    /// Notes that the first level has ended: if the last one did not pass, something failed.
    pub(super) fn end(&mut self) {
        if !self.last_passed() {
            let (level, doing) = self.whereabouts();
            self.fail(level, format!("ended {doing}"));
        }
    }

    /// Whether the run shows what it was to show.
    pub(super) fn passed(&self) -> bool {
        self.failure.is_none() && self.last_passed()
    }

    fn last_passed(&self) -> bool {
        self.seen.get(&self.levels).is_some_and(|seen| seen.disk == Disk::Verified)
    }

    /// The highest level heard of, and what it was about to do.
    fn whereabouts(&self) -> (u32, &'static str) {
        let Some((&level, seen)) = self.seen.last_key_value() else {
            return (u32::from(self.emulator.is_none()), "before its kernel ran /init");
        };
        let doing = match (&seen.facts, seen.disk) {
            (None, _) => "before its kernel ran /init",
            (Some(_), Disk::Unchecked) if level > 0 => "before its disk check",
            (Some(_), Disk::Claimed) if level == self.levels => "before it powered off",
            (Some(_), Disk::Verified) => "after it powered off",
            (Some(_), _) => "before it started the next level",
        };
        (level, doing)
    }

    fn ran_by(&self, level: u32) -> &'static str {
        match (level, self.emulator) {
            (0, Some(emulator)) => emulator,
            (0, None) => "this machine",
            _ => "nvmm on KVM",
        }
    }

    /// The table of levels.
    pub(super) fn table(&self) -> String {
        let header = ["level", "run by", "kernel", "CPU", "nesting", "disk", "to /init"].map(str::to_owned);
        let mut rows = vec![header];
        for (&level, seen) in &self.seen {
            let of = |part: fn(&Facts) -> String| seen.facts.as_ref().map_or_else(dash, part);
            rows.push([
                level.to_string(),
                self.ran_by(level).to_owned(),
                of(|facts| facts.kernel.clone()),
                of(|facts| facts.cpu.clone()),
                of(|facts| if facts.nesting.is_empty() { "none".into() } else { facts.nesting.clone() }),
                match seen.disk {
                    Disk::Verified => "ok".to_owned(),
                    _ if level == 0 => dash(),
                    Disk::Claimed => "ok inside".to_owned(),
                    Disk::Unchecked => "not done".to_owned(),
                },
                // The levels' own clocks are not to be trusted. A real host came up long ago, and was not started.
                match (seen.started, seen.up) {
                    (Some(started), Some(up)) => format!("{:.1} s", up.saturating_sub(started).as_secs_f64()),
                    _ => dash(),
                },
            ]);
        }
        let widths: Vec<usize> = (0..rows[0].len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
            .collect();
        let mut table = String::new();
        for row in rows {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            table.push_str(line.trim_end());
            table.push('\n');
        }
        table
    }

    /// What failed, and the end of that level's console.
    pub(super) fn failure(&self) -> Option<String> {
        let Failure { level, why } = self.failure.as_ref()?;
        let mut text = format!("level {level}: {why}");
        if let Some(seen) = self.seen.get(level).filter(|seen| !seen.tail.is_empty()) {
            let _ = write!(text, "\nthe end of level {level}'s console:");
            for line in &seen.tail {
                let _ = write!(text, "\n  | {line}");
            }
        }
        Some(text)
    }
}

fn dash() -> String {
    "-".to_owned()
}

/// Without what could move a terminal's cursor or change its colours.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|&c| c == '\t' || !c.is_control()).collect()
}

#[cfg(test)]
#[path = "run_test.rs"]
mod tests;
