//! The state of a configuration space.

use serde::{Deserialize, Serialize};

use super::{ConfigSpace, STATUS, Status};
use crate::state::{StateError, hex};

/// All bytes: those that the guest has set, and those by which it knows the function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigState(#[serde(with = "hex")] [u8; ConfigSpace::LEN]);

impl ConfigSpace {
    /// The state. Whether an interrupt is pending is the device's to know.
    #[must_use]
    pub fn save(&self) -> ConfigState {
        let mut bytes = self.bytes;
        pending().into_iter().zip(&mut bytes[STATUS..]).for_each(|(bit, byte)| *byte &= !bit);
        ConfigState(bytes)
    }

    /// Takes up what the guest has set. The function's owner follows it, and the buses the BARs.
    ///
    /// # Errors
    ///
    /// The state is of another function, or of one with other BARs or capabilities.
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

/// The bit of a pending interrupt in the status register.
fn pending() -> [u8; 2] {
    u16::from(Status::new().with_interrupt(true)).to_le_bytes()
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
