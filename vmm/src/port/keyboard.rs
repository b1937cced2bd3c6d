//! The keyboard: a terminal on stdin, some of whose keys are nvmm's own.

use std::time::{Duration, Instant};

use devices::chars::{Backend, Input};

use crate::{
    keys::{Escapes, Key, TYPED},
    terminal::Terminal,
};

/// The time between two looks whether nvmm is in the foreground of its terminal again: nobody tells.
const FOREGROUND_CHECK: Duration = Duration::from_millis(500);

/// The terminal and its keys.
#[derive(Debug)]
pub(crate) struct Keyboard {
    /// Given back when this is dropped.
    terminal: Terminal,
    typed: Typed,
    /// When to look at a terminal that is another's.
    look_at: Option<Instant>,
}

/// Typed bytes on their way to the guest.
#[derive(Debug, Default)]
struct Typed {
    read: Input,
    escapes: Escapes,
    told_of_loss: bool,
    /// When to read again without being told that there is more: a back end tells nothing while there is no room.
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

    /// Reads what `backend` has. Returns nvmm's own keys; the rest is for the guest.
    pub(super) fn read(&mut self, backend: &mut dyn Backend, input: &mut Input) -> Vec<Key> {
        self.typed.read(backend, input)
    }

    /// Returns whether to read it. Reading a terminal in the background would stop nvmm.
    pub(super) fn may_be_read(&self) -> bool {
        self.terminal.is_ours()
    }

    /// When [`Keyboard::read`] is due though its descriptor says nothing: later, so that one who types without end keeps nobody waiting.
    pub(super) fn read_at(&self) -> Option<Instant> {
        self.typed.again_at.filter(|_| self.may_be_read())
    }

    /// Says whether [`Keyboard::look`] is to be called later, since the terminal is another's now.
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

impl Typed {
    fn read(&mut self, backend: &mut dyn Backend, input: &mut Input) -> Vec<Key> {
        backend.serve(&mut self.read);
        self.pass_on(input)
    }

    /// Takes nvmm's own keys out of what was read, and passes on the rest.
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
