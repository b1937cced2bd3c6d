//! The state of a configuration space.

use serde::{Deserialize, Serialize};

use super::{ConfigSpace, STATUS, Status};
use crate::state::{StateError, hex};

/// All bytes, both those that the guest sets and those that identify the function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigState(#[serde(with = "hex")] [u8; ConfigSpace::LEN]);

impl ConfigSpace {
    /// Saves the state. The device itself knows whether an interrupt is pending.
    #[must_use]
    pub fn save(&self) -> ConfigState {
        let mut bytes = self.bytes;
        pending().into_iter().zip(&mut bytes[STATUS..]).for_each(|(bit, byte)| *byte &= !bit);
        ConfigState(bytes)
    }

    /// Loads what the guest has set. Afterwards the function's owner has to apply it, and the buses have to follow the BARs.
    ///
    /// # Errors
    ///
    /// The state belongs to another function, or to one with other BARs or capabilities.
    pub fn load(&mut self, state: &ConfigState) -> Result<(), StateError> {
        let ConfigState(expected) = self.save();
        let differs = |at: usize| (state.0[at] ^ expected[at]) & !self.writable[at] != 0;
        if (0..Self::LEN).any(differs) {
            return Err(StateError::Function(self.identity.name));
        }
        self.bytes = state.0;
        Ok(())
    }
}

/// The bit for a pending interrupt in the status register.
fn pending() -> [u8; 2] {
    u16::from(Status::new().with_interrupt(true)).to_le_bytes()
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
