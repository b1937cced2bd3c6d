//! The state of the ports for configuration space.

use serde::{Deserialize, Serialize};

use super::{ConfigPorts, ResetControl, sanitized};
use crate::state::{StateError, Stateful};

/// The registers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    address: u32,
    reset_control: u8,
}

impl Stateful for ConfigPorts {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        Ok(State { address: self.address.into(), reset_control: self.reset_control.into() })
    }

    fn load(&mut self, State { address, reset_control }: State) -> Result<(), StateError> {
        self.address = sanitized(address);
        self.reset_control = ResetControl::from(reset_control).kept();
        if u32::from(self.address) != address || u8::from(self.reset_control) != reset_control {
            return Err(StateError::Nonsense("registers with bits that they do not keep"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
