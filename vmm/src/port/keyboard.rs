//! The keyboard: a terminal on stdin. nvmm takes some of its keys for itself.

use std::time::{Duration, Instant};

use devices::chars::{Backend, Input};

use crate::{
    keys::{Escapes, Key, TYPED},
    terminal::Terminal,
};

/// The interval for checking whether nvmm is in the foreground of its terminal again, as nothing signals that.
const FOREGROUND_CHECK: Duration = Duration::from_millis(500);

/// The terminal and its keys.
#[derive(Debug)]
pub(crate) struct Keyboard {
    /// Restored when this is dropped.
    terminal: Terminal,
    typed: Typed,
    /// The time to check a terminal that another process has.
    look_at: Option<Instant>,
}

/// Typed bytes on their way to the guest.
#[derive(Debug, Default)]
struct Typed {
    read: Input,
    escapes: Escapes,
    told_of_loss: bool,
    /// The time to read again without an event: a back end signals nothing while there is no room.
    again_at: Option<Instant>,
}

impl Keyboard {
    /// The keys of a terminal.
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, typed: Typed::default(), look_at: None }
    }

    /// The input of a port with a keyboard.
    pub(super) fn input() -> Input {
        Input::new(TYPED)
    }

    /// Reads from `backend`. Returns nvmm's own keys; the rest goes to the guest.
    pub(super) fn read(&mut self, backend: &mut dyn Backend, input: &mut Input) -> Vec<Key> {
        self.typed.read(backend, input)
    }

    /// Returns whether the terminal may be read. Reading it in the background would stop nvmm.
    pub(super) fn may_be_read(&self) -> bool {
        self.terminal.is_ours()
    }

    /// The time when [`Keyboard::read`] is due without an event. It is delayed, so that continuous typing does not hold up the other
    /// sources.
    pub(super) fn read_at(&self) -> Option<Instant> {
        self.typed.again_at.filter(|_| self.may_be_read())
    }

    /// Sets whether [`Keyboard::look`] must be called later, since another process has the terminal.
    pub(super) fn look_later(&mut self, later: bool) {
        self.look_at = later.then(|| self.look_at.unwrap_or_else(|| Instant::now() + FOREGROUND_CHECK));
    }

    /// The time when [`Keyboard::look`] is due.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// Makes the terminal raw again once nvmm is back in its foreground.
    pub(super) fn look(&mut self) {
        self.look_at = None;
        if self.may_be_read() {
            self.take();
        }
    }

    /// Makes the terminal raw, if nvmm is in its foreground.
    pub(super) fn take(&self) {
        if let Err(error) = self.terminal.take() {
            log::debug!("the terminal can't be made raw: {error}");
        }
    }

    /// Restores the terminal until [`Keyboard::take`].
    pub(super) fn give_back(&self) {
        self.terminal.give_back();
    }
}

impl Typed {
    fn read(&mut self, backend: &mut dyn Backend, input: &mut Input) -> Vec<Key> {
        backend.serve(&mut self.read);
        self.pass_on(input)
    }

    /// Takes nvmm's own keys out of the bytes that were read, and passes on the rest.
    fn pass_on(&mut self, input: &mut Input) -> Vec<Key> {
        let (mut keys, mut guest) = (Vec::new(), Vec::new());
        let made_room = self.read.deliver(|bytes| {
            keys.extend(bytes.iter().filter_map(|&byte| self.escapes.feed(byte, &mut guest)));
            bytes.len()
        });
        self.again_at = made_room.then(Instant::now);
        if input.push(&guest) < guest.len() && !std::mem::replace(&mut self.told_of_loss, true) {
            log::warn!(
                "the guest reads no input; of what is typed, all after the first {TYPED} bytes is lost"
            );
        }
        keys
    }
}

#[cfg(test)]
#[path = "keyboard_test.rs"]
mod tests;
