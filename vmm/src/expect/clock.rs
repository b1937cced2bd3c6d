//! The time that the guest has, which passes only while the machine runs.

use std::time::{Duration, Instant};

/// A time limit that can be paused. Without a limit it never ends.
#[derive(Debug)]
pub(super) struct Clock {
    limit: Option<Duration>,
    /// The time that was left when it was last paused or started.
    left: Option<Duration>,
    started: Option<Instant>,
}

impl Clock {
    /// Makes a paused clock.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit, left: limit, started: None }
    }

    /// Starts again with all of the time.
    pub(super) fn restart(&mut self, now: Instant) {
        self.left = self.limit;
        self.started = self.started.map(|_| now);
    }

    /// Runs or pauses the clock.
    pub(super) fn go(&mut self, goes: bool, now: Instant) {
        if let (false, Some(started)) = (goes, self.started) {
            self.left = self.left.map(|left| left.saturating_sub(now.saturating_duration_since(started)));
            self.started = None;
        } else if goes && self.started.is_none() {
            self.started = Some(now);
        }
    }

    /// The time when it ends; none while it is paused.
    pub(super) fn end(&self) -> Option<Instant> {
        self.started?.checked_add(self.left?)
    }
}

#[cfg(test)]
#[path = "clock_test.rs"]
mod tests;
