//! The times of each level's work.

use super::cells::is_to_blame;
use crate::nest::record::{LevelRecord, Record, Status};

/// A kind of work of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// The kernel boots, until /init runs.
    Boot,
    /// The level loads KVM.
    Kvm,
    /// The level prepares its guest, until the guest runs.
    Entry,
    /// The guest works.
    Guest,
    /// The last level's own work, until it has powered off.
    Work,
    /// The last level runs the user's program.
    Program,
    /// The level is stuck.
    Stuck,
    /// The level is ended because another one is stuck.
    Cut,
}

impl Doing {
    pub(super) const ALL: [Self; 8] =
        [Self::Boot, Self::Kvm, Self::Entry, Self::Guest, Self::Work, Self::Program, Self::Stuck, Self::Cut];

    /// The CSS class in the page.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Kvm => "kvm",
            Self::Entry => "entry",
            Self::Guest => "guest",
            Self::Work => "work",
            Self::Program => "program",
            Self::Stuck => "stuck",
            Self::Cut => "cut",
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Boot => "boots to /init",
            Self::Kvm => "loads KVM",
            Self::Entry => "starts its guest",
            Self::Guest => "its guest runs",
            Self::Work => "checks its disk, powers off",
            Self::Program => "runs the program",
            Self::Stuck => "gets no further",
            Self::Cut => "ended because of that",
        }
    }
}

/// A part of a level's time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) doing: Doing,
    /// Seconds from the start of the run.
    pub(super) from: f64,
    pub(super) to: f64,
}

/// A level's time, in successive parts.
pub(super) fn spans(record: &Record, level: &LevelRecord) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut at = level.started.or(level.up);
    let mut until = |doing, to: Option<f64>| {
        // If the times of a report are in the wrong order, the report is broken: leave the part out.
        if let (Some(from), Some(to)) = (at, to)
            && to >= from
        {
            spans.push(Span { doing, from, to });
            at = Some(to);
        }
    };
    until(Doing::Boot, level.started.and(level.up));
    until(Doing::Kvm, level.kvm_loaded);
    until(Doing::Entry, level.first_entry);
    if let Some(program) = record.program.as_ref().filter(|_| level.level == record.wanted) {
        until(Doing::Work, program.started);
        until(Doing::Program, program.started.and(program.ended));
    }
    until(if level.first_entry.is_some() { Doing::Guest } else { Doing::Work }, level.passed);
    if level.passed.is_none() && level.status == Status::Failed {
        let doing = if is_to_blame(record, level.level) { Doing::Stuck } else { Doing::Cut };
        until(doing, Some(record.seconds));
    } else if level.passed.is_none() && level.first_entry.is_some() {
        // A real host continues after the run.
        until(Doing::Guest, Some(record.seconds));
    }
    spans
}

/// Round numbers for an axis from 0 to `end`, at most nine of them.
pub(super) fn ticks(end: f64) -> Vec<f64> {
    if !(end > 0.0 && end.is_finite()) {
        return vec![0.0];
    }
    let mut step = 10_f64.powf((end / 8.0).log10().floor());
    for factor in [2.0, 2.5, 2.0] {
        if end / step <= 8.0 {
            break;
        }
        step *= factor;
    }
    // Rounded to the nearest decimal number: 3 times 0.1 is more than 0.3.
    let ticks = (0..=8_u8).map(|tick| (f64::from(tick) * step * 1000.0).round() / 1000.0);
    ticks.take_while(|&tick| tick <= end).collect()
}

#[cfg(test)]
#[path = "timeline_test.rs"]
mod tests;
