//! Messages about viewers that do wrong: anybody may connect as often as they like, and each time ends with a line.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// The lines in each stretch of time.
const MOST: u32 = 5;
const STRETCH: Duration = Duration::from_secs(60);

/// Counts messages, and leaves out those that are too many.
#[derive(Debug)]
pub(super) struct Complaints {
    since: Instant,
    said: u32,
    left_out: u64,
}

impl Complaints {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, said: 0, left_out: 0 }
    }

    /// The line to say about something at this time; none if there were too many.
    pub(super) fn line(&mut self, what: &dyn fmt::Display, now: Instant) -> Option<String> {
        let mut more = String::new();
        if now.saturating_duration_since(self.since) >= STRETCH {
            if self.left_out > 0 {
                more = format!("; before, there were {} more such messages", self.left_out);
            }
            *self = Self::new(now);
        }
        if self.said == MOST {
            self.left_out += 1;
            return None;
        }
        self.said += 1;
        if self.said == MOST {
            more.push_str("; others are left out for a while");
        }
        Some(format!("{what}{more}"))
    }
}

#[cfg(test)]
#[path = "complaints_test.rs"]
mod tests;
