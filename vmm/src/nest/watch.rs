//! How long a level may take, seen from the one below it.
//!
//! Each level that runs another watches it. What hangs at the top is to be noticed right below, where it can be ended and
//! named, and not first where nothing but silence is seen. So whoever is further below waits longer.

use std::time::{Duration, Instant};

use super::image::Pace;
use super::report::{Line, Said};

/// Watches the levels from `own` on by what they say.
#[derive(Debug)]
pub(super) struct Watch {
    own: u32,
    limit: Duration,
    /// The highest level that runs, what it does, and since when it may.
    top: u32,
    doing: &'static str,
    since: Instant,
}

impl Watch {
    /// Begins to watch level `own`, which starts now, by the clock of the level below it.
    #[must_use]
    pub(super) fn new(own: u32, pace: &Pace, now: Instant) -> Self {
        let slower = match own {
            // Whoever watches level 0 is the host.
            0 => 1,
            1 => pace.slower[0],
            _ => pace.slower[1],
        };
        let limit = Duration::from_secs(pace.limit) / slower.max(1);
        Self { own, limit, top: own, doing: "before its kernel ran /init", since: now }
    }

    /// Takes in what was said.
    pub(super) fn see(&mut self, line: &Line, now: Instant) {
        let Line { level, said } = line;
        match said {
            Said::Start if *level > self.top => {
                self.top = *level;
                self.since = now;
                self.doing = "before its kernel ran /init";
            }
            Said::Done | Said::Fail(..) if *level > self.own => {
                self.top = self.top.min(level - 1);
                self.since = now;
                self.doing = "before it powered off";
            }
            Said::Up(_) if *level == self.top => self.doing = "before its disk check was done",
            Said::Disk { .. } if *level == self.top => self.doing = "after its disk check",
            Said::Kvm if *level == self.top => self.doing = "before it started the next level",
            _ => {}
        }
    }

    /// When to give up: later, the more levels there are that should have done so before.
    #[must_use]
    pub(super) fn deadline(&self) -> Instant {
        self.since + self.limit + self.limit / 4 * (self.top - self.own)
    }

    /// What is to be said of level `own` when the time is up.
    #[must_use]
    pub(super) fn verdict(&self) -> String {
        if self.top > self.own {
            format!("it ran level {}, which gave no sign of life, and did not end it", self.top)
        } else {
            self.doing.to_owned()
        }
    }
}

#[cfg(test)]
#[path = "watch_test.rs"]
mod tests;
