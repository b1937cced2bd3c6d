//! A keyboard's state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CodeSet, FIFO, Keyboard};
use crate::{input::Key, state::StateError};

/// The most bytes of an answer, and of a key's release.
const ANSWER: usize = 3;
const RELEASE: usize = 6;
const KEYS: usize = 256;

/// The settings, the waiting bytes, and the pressed keys.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct State {
    set: u8,
    command: Option<u8>,
    leds: u8,
    is_disabled: bool,
    answer: Vec<u8>,
    keys: Vec<u8>,
    sent: u8,
    down: BTreeMap<u8, Vec<u8>>,
    late: Vec<Vec<u8>>,
}

impl Keyboard {
    pub(in super::super) fn save(&self) -> State {
        State {
            set: self.set.number(),
            command: self.command,
            leds: self.leds,
            is_disabled: self.is_disabled,
            answer: self.answer.iter().copied().collect(),
            keys: self.keys.iter().copied().collect(),
            sent: self.sent,
            down: self.down.iter().map(|(key, release)| (key.0, release.clone())).collect(),
            late: self.late.iter().cloned().collect(),
        }
    }

    /// Loads a state, and releases all keys.
    pub(in super::super) fn load(&mut self, state: State) -> Result<(), StateError> {
        let releases = || state.down.values().chain(&state.late);
        let fits = state.answer.len() <= ANSWER
            // One more byte reports lost keys.
            && state.keys.len() <= FIFO + 1
            && state.late.len() <= KEYS
            && releases().all(|release| release.len() <= RELEASE);
        if !fits {
            return Err(StateError::Nonsense("more bytes wait than there is room for"));
        }
        let set = CodeSet::from_number(state.set);
        let down = state.down.into_iter().map(|(key, release)| (Key(key), release)).collect();
        *self = Self {
            set: set.ok_or(StateError::Nonsense("keyboards have no such set of scan codes"))?,
            command: state.command,
            leds: state.leds & 0b111,
            is_disabled: state.is_disabled,
            answer: state.answer.into(),
            keys: state.keys.into(),
            sent: state.sent,
            down,
            late: state.late.into(),
        };
        self.let_go();
        Ok(())
    }

    /// Releases all keys.
    fn let_go(&mut self) {
        let down: Vec<_> = self.down.keys().copied().collect();
        down.into_iter().for_each(|key| self.key(key, false));
    }
}
