//! The state of a run, level by level.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

use super::disk::AREA;
use super::exec::outcome::Outcome;
use super::exec::program::Program;
use super::explain::{advice, work::Work};
use super::facts::{self, Facts};
use super::plain::printable;
use super::record::{DiskRecord, FailureKind, LevelRecord, Record, Status, THIS_MACHINE, Verdict};
use super::report::{Line, Said};
use crate::hypervisor;

/// The number of lines of each level's console that are kept.
const TAIL: usize = 30;

/// A run while it goes on.
#[derive(Debug)]
pub(super) struct Run {
    host: &'static str,
    levels: Vec<LevelRecord>,
    /// The last lines of each level's console.
    tails: Vec<VecDeque<String>>,
    /// The first level that failed, and the failure.
    failure: Option<(u32, FailureKind, String)>,
    skipped: Option<String>,
    /// The reports about the user's program.
    program: Option<Outcome>,
    /// The output in the last line.
    printed: Vec<u8>,
}

impl Run {
    /// Makes a run of levels up to `wanted`, on this machine or in an emulated one.
    pub(super) fn new(wanted: u32, emulator: Option<&'static str>) -> Self {
        let host = emulator.unwrap_or(THIS_MACHINE);
        let run_by = |level| if level == 0 { host } else { "nvmm on KVM" };
        Self {
            host,
            levels: (0..=wanted).map(|level| LevelRecord::not_reached(level, run_by(level))).collect(),
            tails: (0..=wanted).map(|_| VecDeque::new()).collect(),
            failure: None,
            skipped: None,
            program: None,
            printed: Vec::new(),
        }
    }

    /// Makes a run of saved levels, with their facts from the earlier run.
    pub(super) fn of_kept(kept: &Record) -> Self {
        let levels = kept.levels.iter().map(|level| LevelRecord {
            facts: level.facts.clone(),
            check: level.check.clone(),
            up: Some(0.0),
            first_entry: level.first_entry.map(|_| 0.0),
            ..LevelRecord::not_reached(level.level, &level.run_by)
        });
        Self { levels: levels.collect(), ..Self::new(kept.wanted, None) }
    }

    /// Records that, at the time `at`, all levels have done their work, and end: they were saved, or their program has ended.
    pub(super) fn stop(&mut self, at: Duration) {
        let up = self.levels.iter_mut().filter(|level| level.up.is_some());
        up.for_each(|level| level.passed = Some(at.as_secs_f64()));
    }

    /// Expects the last level to run the user's program.
    pub(super) fn expect(&mut self, program: &Program) {
        self.program = Some(Outcome::new(program));
    }

    /// Returns whether the program has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.program.as_ref().is_some_and(|program| program.end().is_some())
    }

    /// Takes the program's output in the last line.
    pub(super) fn printed(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.printed)
    }

    /// Handles a line that came `at` this time after the start. Returns what to show of it, if it is progress.
    pub(super) fn take(&mut self, line: &Line, at: Duration) -> Option<String> {
        let at = at.as_secs_f64();
        let number = usize::try_from(line.level).ok()?;
        let below = number.checked_sub(1).and_then(|below| self.levels.get(below));
        let base = below.and_then(|below| below.facts.as_ref()).map(|facts| facts.features.clone());
        // A broken level may claim to be any level.
        let level = self.levels.get_mut(number)?;
        match &line.said {
            Said::Start => {
                level.started = Some(at);
                Some("starting".to_owned())
            }
            Said::Entered => {
                let below = self.levels.get_mut(number.checked_sub(1)?)?;
                below.first_entry.get_or_insert(at);
                Some("KVM entered it".to_owned())
            }
            Said::Up(facts) => {
                level.up = Some(at);
                let features = facts::whole(&base.unwrap_or_default(), facts.features.clone());
                level.facts = Some(Facts { features, ..facts.clone() });
                let mut progress = format!("Linux {} on {}", facts.kernel, facts.cpu);
                if !facts.nesting.is_empty() {
                    let _ = write!(progress, " with {}", facts.nesting);
                }
                let _ = write!(progress, ", {}", level.run_by);
                if line.level > 0 && facts.hypervisor != hypervisor::KVM {
                    let why = format!("it runs on {:?} by CPUID", facts.hypervisor);
                    self.fail(line.level, FailureKind::NotOnKvm, why);
                }
                Some(progress)
            }
            Said::Kvm => {
                level.kvm_loaded = Some(at);
                Some("KVM loaded".to_owned())
            }
            Said::Ready => Some("waits for a program".to_owned()),
            Said::Program(news) => {
                let told = self.program.as_mut()?.hear(news, at);
                self.printed = told.bytes;
                told.lines.iter().for_each(|text| self.hear(number, text));
                told.doing
            }
            Said::Check(check) => {
                level.check = Some(check.clone());
                None
            }
            Said::Disk { read_ms, write_ms, .. } => {
                let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
                level.disk = Some(DiskRecord {
                    bytes: AREA,
                    read_seconds: seconds(*read_ms),
                    write_seconds: seconds(*write_ms),
                    verified: false,
                });
                Some("disk read, written and read back".to_owned())
            }
            Said::Exits(exits) => {
                level.exits.clone_from(exits);
                None
            }
            Said::Work(Work::Empty) => Some("makes exits, which those below it measure".to_owned()),
            Said::Work(_) => None,
            Said::Cost(cost) => {
                // One for each kind, even if a broken level repeats it.
                if !level.costs.iter().any(|known| known.work == cost.work) {
                    level.costs.push(cost.clone());
                }
                None
            }
            Said::Untraced(why) => {
                level.untraced = Some(why.clone());
                None
            }
            Said::Done => {
                level.passed = Some(at);
                if let Some(disk) = &mut level.disk {
                    disk.verified = true;
                }
                Some("powered off; its disk is the same from outside".to_owned())
            }
            Said::Fail(kind, why) => {
                self.fail(line.level, *kind, why.clone());
                Some(format!("{kind}: {why}"))
            }
            Said::Off => None,
            Said::Idle(what) => Some(format!("{what} while this level waits")),
            Said::Text(text) => {
                self.hear(number, text);
                None
            }
        }
    }

    /// Keeps a line of a level's console.
    fn hear(&mut self, level: usize, text: &str) {
        if let Some(tail) = self.tails.get_mut(level) {
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(printable(text));
        }
    }

    /// Records a failure of `level`. Only the first one counts.
    pub(super) fn fail(&mut self, level: u32, kind: FailureKind, why: String) {
        self.failure.get_or_insert((level, kind, why));
    }

    /// Records that the host can't nest.
    pub(super) fn skip(&mut self, why: String) {
        self.skipped = Some(why);
    }

    /// Records the end of the run, at the time `at`: if a level has not succeeded, something failed.
    pub(super) fn end(&mut self, at: Duration) {
        let heard = |level: &LevelRecord| level.started.or(level.up).is_some();
        let unfinished =
            self.levels.iter().skip(1).rev().find(|level| heard(level) && level.passed.is_none());
        let unentered = self.levels.iter().zip(self.levels.iter().skip(1));
        let unentered =
            unentered.filter(|(below, _)| below.first_entry.is_none()).map(|(_, level)| level.level);
        if let Some(level) = unfinished {
            let (number, kind, why) = ended(level);
            self.fail(number, kind, why);
        } else if let Some(next) = self.levels.iter().skip(1).position(|level| level.passed.is_none()) {
            // The one below it should have started it.
            let (number, kind, why) = ended(&self.levels[next]);
            self.fail(number, kind, why);
        } else if let Some(level) = unentered.min() {
            let why = "no KVM_RUN of it came back from guest code".to_owned();
            self.fail(level, FailureKind::NotOnKvm, why);
        } else {
            self.levels[0].passed = Some(at.as_secs_f64());
        }
        if let Some(program) = &self.program {
            let (sentence, end) = (program.sentence(), program.end());
            match end {
                Some(end) if end.is_success() => {}
                Some(end) if end.is_skip() && self.failure.is_none() => self.skip(sentence),
                _ => self.fail(last(&self.levels), FailureKind::Program, sentence),
            }
        }
    }

    /// The record of the run.
    pub(super) fn record(mut self, took: Duration) -> Record {
        let verdict = match (self.skipped, self.failure) {
            (Some(why), _) => Verdict::Skipped { why },
            (None, None) => Verdict::Passed,
            (None, Some((level, kind, why))) => {
                let tail = usize::try_from(level).ok().and_then(|level| self.tails.get_mut(level));
                let console = tail.map(|tail| tail.drain(..).collect()).unwrap_or_default();
                Verdict::Failed { level, kind, why, console }
            }
        };
        let last = last(&self.levels);
        for level in &mut self.levels {
            level.status = status(level, &verdict, last);
            let features = level.facts.as_ref().map(|facts| facts.features.as_slice()).unwrap_or_default();
            for cost in &mut level.costs {
                cost.advice = advice::advice(cost, level.level, features);
            }
        }
        Record {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            wanted: last,
            host: self.host.to_owned(),
            seconds: took.as_secs_f64(),
            verdict,
            program: self.program.map(Outcome::record),
            levels: self.levels,
        }
    }
}

/// The highest level that was wanted.
fn last(levels: &[LevelRecord]) -> u32 {
    levels.iter().map(|level| level.level).max().unwrap_or_default()
}

/// Returns the failure of a level that ended without a report.
fn ended(level: &LevelRecord) -> (u32, FailureKind, String) {
    let (kind, why) = match (&level.facts, level.disk) {
        (None, _) => (FailureKind::KernelDidNotStart, "it ended before it ran /init"),
        (Some(_), None) if level.level > 0 => (FailureKind::Ended, "before its disk check"),
        (Some(_), _) => (FailureKind::Ended, "before all of its work was done"),
    };
    (level.level, kind, why.to_owned())
}

fn status(level: &LevelRecord, verdict: &Verdict, last: u32) -> Status {
    match verdict {
        // Only the program's result is missing.
        Verdict::Skipped { .. } if level.passed.is_some() && level.level < last => Status::Passed,
        Verdict::Skipped { .. } => Status::Skipped,
        Verdict::Passed => Status::Passed,
        // Those below succeeded: they got that far, and reported it.
        Verdict::Failed { level: failed, .. } if level.level < *failed => Status::Passed,
        Verdict::Failed { level: failed, .. } if level.level == *failed => Status::Failed,
        Verdict::Failed { .. } if level.passed.is_some() => Status::Passed,
        Verdict::Failed { .. } if level.started.is_some() => Status::Failed,
        Verdict::Failed { .. } => Status::NotReached,
    }
}

#[cfg(test)]
#[path = "run_test.rs"]
mod tests;
