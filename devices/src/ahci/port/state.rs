//! A port's state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    super::{drive::DriveState, shared::Registers},
    Port,
};
use crate::state::StateError;

/// The registers, and the drive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PortState {
    registers: Registers,
    drive: Option<DriveState>,
}

impl Port {
    /// Saves the state of a port that has stopped.
    ///
    /// # Errors
    ///
    /// The port has not stopped.
    pub(in super::super) fn save(&self) -> Result<PortState, StateError> {
        if self.worker.is_some() {
            return Err(StateError::Running);
        }
        let drive = self.drive.as_ref().map(|drive| drive.save());
        Ok(PortState { registers: self.shared.save(), drive })
    }

    /// Loads a state. The port is paused afterwards.
    ///
    /// # Errors
    ///
    /// The state does not fit the port.
    pub(in super::super) fn load(&mut self, state: PortState) -> Result<(), StateError> {
        match (&mut self.drive, state.drive) {
            (None, None) => {}
            (Some(drive), Some(state)) => {
                // The port's thread also holds the drive, but a new port has no thread.
                Arc::get_mut(drive).ok_or(StateError::Running)?.load(state)?;
            }
            _ => return Err(StateError::Nonsense("a drive where there is none, or none where there is one")),
        }
        self.shared.load(state.registers)?;
        self.paused = true;
        Ok(())
    }

    /// Returns true if the port has a cause to interrupt.
    pub(in super::super) fn is_pending(&self) -> bool {
        let state = self.shared.state();
        state.causes().intersects(state.enabled)
    }
}
