//! The state of a virtio function.

use serde::{Deserialize, Serialize};

use super::{VirtioPci, common::CommonState};
use crate::{
    pci::{ConfigState, MsixState},
    state::{StateError, Stateful},
};

/// The parts of a function. The last one includes the device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    config: ConfigState,
    msix: MsixState,
    common: CommonState,
}

impl Stateful for VirtioPci {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        Ok(State { config: self.config.save(), msix: self.msix.save(), common: self.common.save()? })
    }

    /// Loads a state. The device is paused afterwards.
    fn load(&mut self, state: State) -> Result<(), StateError> {
        self.config.load(&state.config)?;
        if !self.msix.load(&state.msix) {
            return Err(StateError::Shape(self.config.identity().name));
        }
        self.follow_config();
        self.common.load(&state.common)
    }
}
