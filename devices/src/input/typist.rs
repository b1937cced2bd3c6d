//! Types keys for a program, one after the other.

use std::{collections::VecDeque, os::fd::BorrowedFd, sync::Arc, time::Duration};

use super::{Input, Key};
use crate::{platform::Timer, wakes::Wakes};

/// The most presses and releases that can wait.
const MOST: usize = 1024;
/// The time from one press or release to the next, which a guest that polls needs.
const PAUSE: Duration = Duration::from_millis(10);

/// Reasons why keys are not pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypistError {
    /// Too many keys would wait.
    #[error(
        "{waiting} presses and releases of keys still wait, and {more} more would be over {MOST}; try again later, or give fewer keys"
    )]
    TooMany {
        /// The number of steps that wait.
        waiting: usize,
        /// The number of steps to add.
        more: usize,
    },
}

/// Types keys: each press or release waits for some time after the one before.
#[derive(Debug)]
pub struct Typist {
    input: Arc<dyn Input>,
    timer: Box<dyn Timer>,
    /// The steps: the time to wait after the one before, the key, and whether to press or release it.
    steps: VecDeque<(Duration, Key, bool)>,
    /// The moment of the last press or release.
    last: Option<Duration>,
}

impl Typist {
    /// Makes a typist that presses keys on `input`. `timer` uses a monotonic clock.
    #[must_use]
    pub fn new(input: Arc<dyn Input>, timer: Box<dyn Timer>) -> Self {
        Self { input, timer, steps: VecDeque::new(), last: None }
    }

    /// Presses all keys, holds them for `hold`, and releases them in reverse order. This begins after the keys that wait already.
    ///
    /// # Errors
    ///
    /// Too many steps wait. None of the keys is pressed.
    pub fn press(&mut self, keys: &[Key], hold: Duration) -> Result<(), TypistError> {
        let (waiting, more) = (self.steps.len(), 2 * keys.len());
        if waiting + more > MOST {
            return Err(TypistError::TooMany { waiting, more });
        }
        self.steps.extend(keys.iter().map(|&key| (PAUSE, key, true)));
        let hold = std::iter::once(hold).chain(std::iter::repeat(PAUSE));
        self.steps.extend(hold.zip(keys.iter().rev()).map(|(wait, &key)| (wait, key, false)));
        self.step();
        Ok(())
    }

    /// Does the steps that are due, and sets the timer for the next one.
    fn step(&mut self) {
        let now = self.timer.now();
        while let Some(&(wait, key, pressed)) = self.steps.front() {
            let due = self.last.map_or(now, |last| last + wait);
            if due > now {
                return self.timer.set(Some(due));
            }
            self.input.key(key, pressed);
            self.last = Some(now);
            self.steps.pop_front();
        }
        self.timer.set(None);
    }
}

impl Wakes for Typist {
    fn wakeup(&self) -> BorrowedFd<'_> {
        self.timer.fd()
    }

    fn on_wakeup(&mut self) {
        self.step();
    }
}

#[cfg(test)]
#[path = "typist_test.rs"]
mod tests;
