//! The time limit for a level, checked by the level below it.
//!
//! Each level checks the one that it runs. If the highest level hangs, the level right below should notice, as it can end and name it, not
//! one farther below that sees only silence. So levels farther below wait longer.
//!
//! In an emulated machine no clock can be trusted: only the host checks, by the emulator's time, and finds the hanging level from the
//! reports.

use std::time::Duration;

use super::exec::news::News;
use super::image::Pace;
use super::report::{Line, Said};

/// Checks the levels from `own` on by their reports.
#[derive(Debug)]
pub(super) struct Watch {
    own: u32,
    last: u32,
    /// None if another level checks.
    limit: Option<Duration>,
    alone: bool,
    /// The highest level that was started. Each is started once.
    started: u32,
    /// The highest running level, what it is doing, and the time from which its limit counts.
    top: u32,
    doing: &'static str,
    since: Duration,
    program: Program,
}

/// The state of the user's program, which has as much time as a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Waits,
    Runs,
    Ended,
}

impl Watch {
    /// Begins to watch level `own`, which starts now, and those above it up to `last`.
    #[must_use]
    pub(super) fn new(own: u32, last: u32, pace: &Pace, now: Duration) -> Self {
        // The host watches level 0.
        let watches = own == 0 || !pace.alone;
        Self {
            own,
            last,
            limit: watches.then(|| Duration::from_secs(pace.limit)),
            alone: pace.alone,
            started: own,
            top: own,
            doing: "before its kernel ran /init",
            since: now,
            program: Program::Waits,
        }
    }

    /// Begins to watch levels that were saved and are now restored.
    #[must_use]
    pub(super) fn of_kept(own: u32, last: u32, pace: &Pace, now: Duration) -> Self {
        let doing = "its last level did not take up the program";
        Self {
            started: last,
            top: last,
            doing,
            alone: true,
            ..Self::new(own, last, &Pace { alone: false, ..*pace }, now)
        }
    }

    /// The watched level, and the last one above it.
    #[must_use]
    pub(super) fn levels(&self) -> (u32, u32) {
        (self.own, self.last)
    }

    /// Takes in a report. Only the next level can start, and each level, and the program, can start and end only once: extra reports don't
    /// give a level more time.
    pub(super) fn see(&mut self, line: &Line, now: Duration) {
        let Line { level, said } = line;
        match said {
            Said::Start if *level == self.started + 1 && self.top == self.started && *level <= self.last => {
                self.started = *level;
                self.top = *level;
                self.since = now;
                self.doing = "before its kernel ran /init";
            }
            Said::Done | Said::Fail(..) if *level > self.own && *level <= self.top => {
                self.top = level - 1;
                self.since = now;
                self.doing = "before it powered off";
            }
            Said::Program(News::Started) if *level == self.top && self.program == Program::Waits => {
                self.program = Program::Runs;
                self.since = now;
                self.doing = "its program did not end: it hangs, or needs a longer --timeout";
            }
            Said::Program(News::Ended(_)) if *level == self.top && self.program == Program::Runs => {
                self.program = Program::Ended;
                self.since = now;
                self.doing = "before it powered off";
            }
            // A saved level may wait for days. The host of a restored one watches it.
            Said::Ready if *level == self.top => self.limit = None,
            Said::Up(_) if *level == self.top => self.doing = "before its disk check was done",
            Said::Disk { .. } if *level == self.top => self.doing = "after its disk check",
            Said::Kvm if *level == self.top => self.doing = "before it started the next level",
            _ => {}
        }
    }

    /// Returns whether it is time to give up.
    #[must_use]
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// The time to give up. It is later the more levels there are above, which should have given up first.
    fn deadline(&self) -> Option<Duration> {
        let limit = self.limit?;
        let others = if self.alone { 0 } else { self.top - self.own };
        Some(self.since + limit + limit / 4 * others)
    }

    /// The level that failed when the time is up, and the reason to print.
    #[must_use]
    pub(super) fn verdict(&self) -> (u32, String) {
        if self.alone {
            (self.top, self.doing.to_owned())
        } else if self.top > self.own {
            let why = format!("it ran level {}, which gave no sign of life, and did not end it", self.top);
            (self.own, why)
        } else {
            (self.own, self.doing.to_owned())
        }
    }
}

#[cfg(test)]
#[path = "watch_test.rs"]
mod tests;
