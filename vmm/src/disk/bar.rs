//! Shows the progress of a long task: a line that is redrawn on a terminal, or a line for every tenth.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use super::amount::Amount;
use crate::terminal;

/// The interval between two drawings on a terminal.
const TICK: Duration = Duration::from_millis(100);
/// The number of segments of the bar.
const PARTS: usize = 24;
/// The sequence that clears the line.
const CLEAR: &str = "\r\x1b[K";

/// The ways to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// A line that is redrawn, of at most this many columns.
    Line(usize),
    /// A line for every tenth.
    Tenths,
    /// No progress.
    Not,
}

/// The progress of work on a disk, shown on stderr until it is dropped.
#[derive(Debug)]
pub(super) struct Bar {
    shown: Shown,
    size: u64,
    start: Instant,
    /// The time when the line was last drawn.
    drawn: Option<Instant>,
    /// The number of tenths that have been reported.
    tenths: u64,
}

impl Shown {
    /// Shows a line on a terminal, unless `quiet`; elsewhere it shows tenths only if `wanted`.
    pub(super) fn on_stderr(quiet: bool, wanted: bool) -> Self {
        match io::stderr().is_terminal() {
            _ if quiet => Self::Not,
            true => Self::Line(terminal::columns()),
            false if wanted => Self::Tenths,
            false => Self::Not,
        }
    }
}

impl Bar {
    /// Begins work on `size` bytes.
    pub(super) fn new(shown: Shown, size: u64, now: Instant) -> Self {
        Self { shown, size, start: now, drawn: None, tenths: 0 }
    }

    /// Reports that the first `done` bytes are done, for which `copied` bytes were copied.
    pub(super) fn tell(&mut self, done: u64, copied: u64) {
        if let Some(text) = self.draw(done, copied, Instant::now()) {
            // A failure can't be reported.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }

    /// Prints how many bytes are done, on request, whatever is shown otherwise.
    pub(super) fn answer(&self, done: u64) {
        let percent = self.parts(done, 100);
        let _ = writeln!(
            io::stderr(),
            "{}nvmm: {percent} % of it is done",
            if self.drawn.is_some() { CLEAR } else { "" }
        );
    }

    /// The number of `parts` that are done after the first `done` bytes.
    fn parts(&self, done: u64, parts: u64) -> u64 {
        let parts_done = u128::from(done) * u128::from(parts) / u128::from(self.size.max(1));
        u64::try_from(parts_done).unwrap_or(parts)
    }

    /// The text to write, if anything is new.
    fn draw(&mut self, done: u64, copied: u64, now: Instant) -> Option<String> {
        match self.shown {
            Shown::Not => None,
            Shown::Tenths => {
                let tenths = self.parts(done, 10);
                if tenths <= self.tenths {
                    return None;
                }
                self.tenths = tenths;
                Some(format!("{:3} %\n", tenths * 10))
            }
            Shown::Line(columns) => {
                let is_due = self.drawn.is_none_or(|drawn| now.saturating_duration_since(drawn) >= TICK);
                // The end stays visible while everything is written to the medium.
                if !is_due && done < self.size {
                    return None;
                }
                self.drawn = Some(now);
                let percent = self.parts(done, 100);
                let full = usize::try_from(self.parts(done, PARTS as u64)).unwrap_or(PARTS).min(PARTS);
                let taken = now.saturating_duration_since(self.start);
                let line = format!(
                    "{percent:3} % [{}{}] {}{}",
                    "#".repeat(full),
                    ".".repeat(PARTS - full),
                    rate(copied, taken).unwrap_or_default(),
                    left(done, self.size, taken).unwrap_or_default(),
                );
                // A longer line would wrap, and could not be redrawn.
                let line: String = line.trim_end().chars().take(columns.saturating_sub(1)).collect();
                Some(format!("{CLEAR}{line}"))
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = io::stderr().write_all(CLEAR.as_bytes());
        }
    }
}

/// Writes the rate, such as `812 MiB/s`.
fn rate(copied: u64, taken: Duration) -> Option<String> {
    let a_second = u128::from(copied) * 1000 / Some(taken.as_millis()).filter(|&millis| millis > 0)?;
    Some(format!("{}/s", Amount(u64::try_from(a_second).ok()?)))
}

/// Writes the time left, such as `, 12 s left`, assuming the same time for each byte as so far.
fn left(done: u64, size: u64, taken: Duration) -> Option<String> {
    let rest = u128::from(size.checked_sub(done)?);
    let seconds = taken.as_millis() * rest / Some(u128::from(done)).filter(|&done| done > 0)? / 1000;
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    Some(if minutes > 0 {
        format!(", {minutes} min {seconds} s left")
    } else {
        format!(", {seconds} s left")
    })
}

#[cfg(test)]
#[path = "bar_test.rs"]
mod tests;
