//! The time that the guest has: it passes while the machine runs.

use std::time::{Duration, Instant};

/// A time limit that can be halted. Without a limit it never ends.
#[derive(Debug)]
pub(super) struct Clock {
    limit: Option<Duration>,
    /// The time that was left when it was last halted or started.
    left: Option<Duration>,
    started: Option<Instant>,
}

impl Clock {
    /// A clock that does not go yet.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit, left: limit, started: None }
    }

    /// Gives the guest all of the time again.
    pub(super) fn restart(&mut self, now: Instant) {
        self.left = self.limit;
        self.started = self.started.map(|_| now);
    }

    /// Lets it go, or halts it.
    pub(super) fn go(&mut self, goes: bool, now: Instant) {
        if let (false, Some(started)) = (goes, self.started) {
            self.left = self.left.map(|left| left.saturating_sub(now.saturating_duration_since(started)));
            self.started = None;
        } else if goes && self.started.is_none() {
            self.started = Some(now);
        }
    }

    /// When the time is over; none while it is halted.
    pub(super) fn end(&self) -> Option<Instant> {
        self.started?.checked_add(self.left?)
    }
}

#[cfg(test)]
#[path = "clock_test.rs"]
mod tests;
