//! The keyboard: a terminal on stdin, some of whose keys are nvmm's own.

use std::time::{Duration, Instant};

use crate::{
    keys::{Escapes, Key},
    terminal::Terminal,
};

/// How often nvmm looks whether it is in the foreground of its terminal again: nobody tells.
const FOREGROUND_CHECK: Duration = Duration::from_millis(500);

/// The terminal and its keys.
#[derive(Debug)]
pub(super) struct Keyboard {
    /// Given back when this is dropped.
    terminal: Terminal,
    escapes: Escapes,
    /// When to look at a terminal that is another's.
    look_at: Option<Instant>,
}

impl Keyboard {
    /// The keys of a terminal.
    pub(super) fn new(terminal: Terminal) -> Self {
        Self { terminal, escapes: Escapes::default(), look_at: None }
    }

    /// Takes nvmm's own keys out of what is typed; the rest is appended to `guest`.
    pub(super) fn feed(&mut self, bytes: &[u8], guest: &mut Vec<u8>) -> Vec<Key> {
        bytes.iter().filter_map(|&byte| self.escapes.feed(byte, guest)).collect()
    }

    /// Whether to read it. Reading a terminal in the background would stop nvmm.
    pub(super) fn may_be_read(&self) -> bool {
        self.terminal.is_ours()
    }

    /// Looks from time to time, as long as it is not to be read, whether that has changed.
    pub(super) fn look_later(&mut self, later: bool) {
        self.look_at = later.then(|| self.look_at.unwrap_or_else(|| Instant::now() + FOREGROUND_CHECK));
    }

    /// When [`Keyboard::look`] is due.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// Makes the terminal raw again if nvmm is in its foreground again.
    pub(super) fn look(&mut self) {
        self.look_at = None;
        if self.may_be_read() {
            self.take();
        }
    }

    /// Makes the terminal raw, if it is this process's.
    pub(super) fn take(&self) {
        if let Err(error) = self.terminal.take() {
            log::debug!("the terminal can't be made raw: {error}");
        }
    }

    /// Gives the terminal back until [`Keyboard::take`].
    pub(super) fn give_back(&self) {
        self.terminal.give_back();
    }
}
