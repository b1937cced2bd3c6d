//! The meaning of a sequence of signals: a repeat, a request to end, or the power button first.

use std::time::{Duration, Instant};

/// The time in which equal signals count as one: GNU timeout and some shells send a signal to a process, and again to its group.
const SAME_WISH: Duration = Duration::from_secs(1);

/// The meaning of a signal that can end nvmm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A repeat of the last one, without a new meaning.
    Same,
    /// The guest should power off.
    PowerOff,
    /// nvmm should end.
    End,
}

/// The signals so far.
#[derive(Debug)]
pub(crate) struct Wishes {
    grace: Duration,
    /// The time when the guest was asked to power off.
    asked: Option<Instant>,
    /// The first one of the last equal signals, with its time.
    last: Option<(i32, Instant)>,
}

impl Wishes {
    /// Gives the guest `grace` to power off.
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, asked: None, last: None }
    }

    /// Takes a signal that arrived `now`. `may_listen`: there is a guest that could see the power button.
    pub(crate) fn signal(&mut self, number: i32, now: Instant, may_listen: bool) -> Wish {
        if let Some((last, at)) = self.last
            && last == number
            && now.saturating_duration_since(at) < SAME_WISH
        {
            return Wish::Same;
        }
        self.last = Some((number, now));
        if number == libc::SIGTERM && self.asked.is_none() && may_listen && !self.grace.is_zero() {
            self.asked = Some(now);
            return Wish::PowerOff;
        }
        Wish::End
    }

    /// The time when the guest's grace period ends; none before SIGTERM, or if it never ends.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.asked?.checked_add(self.grace)
    }
}

#[cfg(test)]
#[path = "wishes_test.rs"]
mod tests;
