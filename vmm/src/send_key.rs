//! `send-key`: keys that a QMP client presses.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use devices::input::{Key, Typist, TypistError};
use thiserror::Error;

use crate::qcode::{KeyError, KeyValue};

/// The time for which keys are held unless the client gives one, in milliseconds.
const HOLD: u64 = 100;
/// The longest time, in milliseconds, as later keys wait for it.
const MAX_HOLD: u64 = 60_000;

/// Keys to press together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SendKey {
    keys: Vec<Key>,
    hold: Duration,
}

/// The reason why the keys are not pressed.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SendKeyError {
    /// There is no such key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The keys would be held for too long.
    #[error("keys can't be held for {0} milliseconds; give {MAX_HOLD} at most")]
    Hold(u64),
    /// The machine has no keyboard.
    #[error("the machine has no keyboard; start it with --display vga")]
    NoKeyboard,
    /// Too many keys are waiting.
    #[error(transparent)]
    Typist(#[from] TypistError),
}

impl SendKey {
    /// Keys to hold for this many milliseconds.
    ///
    /// # Errors
    ///
    /// There is no such key, or they would be held for too long.
    pub(crate) fn new(keys: &[KeyValue], hold: Option<u64>) -> Result<Self, SendKeyError> {
        let keys = keys.iter().map(KeyValue::key).collect::<Result<_, _>>()?;
        match hold.unwrap_or(HOLD) {
            hold @ 0..=MAX_HOLD => Ok(Self { keys, hold: Duration::from_millis(hold) }),
            hold => Err(SendKeyError::Hold(hold)),
        }
    }

    /// Queues the keys, which are pressed after those that wait.
    ///
    /// # Errors
    ///
    /// There is no keyboard, or too many keys are waiting.
    pub(crate) fn press(&self, typist: Option<&Mutex<Typist>>) -> Result<(), SendKeyError> {
        let typist = typist.ok_or(SendKeyError::NoKeyboard)?;
        Ok(typist.lock().unwrap_or_else(PoisonError::into_inner).press(&self.keys, self.hold)?)
    }
}

#[cfg(test)]
#[path = "send_key_test.rs"]
mod tests;
