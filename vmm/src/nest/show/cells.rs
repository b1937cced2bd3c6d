//! Short texts about a run and its levels.

use super::words::{between, one_line, plain, seconds, short_cpu, thousands};
use crate::nest::record::{DiskRecord, FailureKind, LevelRecord, Record, Status, THIS_MACHINE, Verdict};
use crate::stats;

/// Summarizes the run in a line: `3 levels passed in 59.1 s`.
#[must_use]
pub fn summary(record: &Record) -> String {
    let levels = if record.wanted == 1 { "1 level".to_owned() } else { format!("{} levels", record.wanted) };
    match &record.verdict {
        Verdict::Passed => format!("{levels} passed in {}", seconds(record.seconds)),
        Verdict::Failed { level, kind, .. } => {
            format!("level {level} of {} failed after {}: {kind}", record.wanted, seconds(record.seconds))
        }
        Verdict::Skipped { why }
            if record.program.as_ref().is_some_and(|program| program.ended.is_some()) =>
        {
            format!("skipped after {}: {}", seconds(record.seconds), one_line(why))
        }
        Verdict::Skipped { why } => format!("{levels} skipped: {}", one_line(why)),
    }
}

/// The cells of a level's row.
pub(super) struct Cells {
    pub(super) cpu: String,
    pub(super) kernel: String,
    pub(super) nesting: String,
    /// The time from its VMM's start to its /init.
    pub(super) boot: String,
    /// The time from then until its KVM was loaded.
    pub(super) kvm: String,
    /// The time from then until its first guest ran.
    pub(super) entry: String,
    pub(super) disk: String,
    /// All exits of its guest.
    pub(super) exits: String,
}

impl Cells {
    pub(super) fn new(record: &Record, level: &LevelRecord) -> Self {
        let dash = || "-".to_owned();
        let took = |from, to| between(from, to).map_or_else(dash, seconds);
        let facts = level.facts.as_ref();
        Self {
            cpu: facts.map_or_else(dash, |facts| short_cpu(&plain(&facts.cpu))),
            kernel: facts.map_or_else(dash, |facts| plain(&facts.kernel)),
            nesting: facts.map_or_else(dash, |facts| match facts.nesting.as_str() {
                "" => "none".to_owned(),
                nesting => plain(nesting),
            }),
            boot: took(level.started, level.up),
            kvm: took(level.up, level.kvm_loaded),
            entry: took(level.kvm_loaded.or(level.up), level.first_entry),
            disk: match &level.disk {
                Some(disk) => self::disk(record, level.level, disk),
                None if level.level > 0 && level.up.is_some() => "not done".to_owned(),
                None => dash(),
            },
            exits: level.exits.get("exits").map_or_else(dash, |&exits| thousands(exits)),
        }
    }
}

/// Writes `812/640 MB/s`, for reading and writing, if the level's clock is real; else only whether the disk is right, if it was compared.
pub(super) fn disk(record: &Record, level: u32, disk: &DiskRecord) -> String {
    match record.verdict {
        _ if disk.verified => {}
        Verdict::Failed { kind: FailureKind::Disk, .. } if is_to_blame(record, level) => {
            return "differs".to_owned();
        }
        _ => return "not compared".to_owned(),
    }
    let rate = |took: f64| {
        let kilobytes = f64::from(u32::try_from(disk.bytes / 1000).unwrap_or(u32::MAX));
        (took > 0.0).then(|| format!("{:.0}", kilobytes / 1000.0 / took))
    };
    match (emulated(record), rate(disk.read_seconds), rate(disk.write_seconds)) {
        (false, Some(read), Some(write)) => format!("{read}/{write} MB/s"),
        _ => "ok".to_owned(),
    }
}

/// Returns whether level 0 is an emulator's machine, with a clock of its own.
fn emulated(record: &Record) -> bool {
    record.host != THIS_MACHINE
}

/// Returns whether it is the level that failed, not one that had to end because of that.
pub(super) fn is_to_blame(record: &Record, level: u32) -> bool {
    matches!(record.verdict, Verdict::Failed { level: blamed, .. } if blamed == level)
}

/// The result of a level, in a word or two.
pub(super) fn status(record: &Record, level: &LevelRecord) -> &'static str {
    match level.status {
        Status::Passed => "passed",
        Status::Failed if !is_to_blame(record, level.level) => "cut off",
        Status::Failed => "FAILED",
        Status::Skipped => "skipped",
        Status::NotReached => "not reached",
    }
}

/// The exits of a level's guest that have a reason, the most frequent first, then its own guests' entries.
pub(super) fn reasons(level: &LevelRecord) -> Vec<(String, u64)> {
    let mut reasons: Vec<_> =
        stats::by_reason(&level.exits).into_iter().map(|(reason, count)| (plain(reason), count)).collect();
    if let Some(&entries @ 1..) = level.exits.get("nested_run") {
        reasons.push(("nested entries".to_owned(), entries));
    }
    reasons
}
