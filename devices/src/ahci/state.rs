//! The state of an AHCI controller. Its ports have stopped, and no command is at a drive: issued commands wait in their slots.

use serde::{Deserialize, Serialize};

use super::{Ahci, interrupts::State as InterruptState, lock, port::PortState};
use crate::{
    pci::ConfigState,
    state::{StateError, Stateful},
};

/// The controller's registers, and those of its ports.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    config: ConfigState,
    interrupt_enable: bool,
    /// The ports that have interrupted.
    interrupt_status: u32,
    resetting: bool,
    ports: Vec<PortState>,
}

impl Stateful for Ahci {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        Ok(State {
            config: self.config.save(),
            interrupt_enable: self.interrupt_enable,
            interrupt_status: self.interrupts.status(),
            resetting: self.resetting,
            ports: self.ports.iter().map(|port| lock(port).save()).collect::<Result<_, _>>()?,
        })
    }

    /// Loads a state. The ports are paused afterwards.
    fn load(&mut self, state: State) -> Result<(), StateError> {
        if state.ports.len() != self.ports.len() || state.interrupt_status >> self.ports.len() != 0 {
            return Err(StateError::Nonsense("ports that this controller does not have"));
        }
        self.config.load(&state.config)?;
        (self.interrupt_enable, self.resetting) = (state.interrupt_enable, state.resetting);
        let mut pending = 0;
        for (number, (port, state)) in self.ports.iter().zip(state.ports).enumerate() {
            let mut port = lock(port);
            port.load(state)?;
            pending |= u32::from(port.is_pending()) << number;
        }
        // Interrupts from before the state was saved have been delivered already.
        let by_msi = self.msi.follow(&self.config);
        self.interrupts.load(InterruptState {
            status: state.interrupt_status,
            pending,
            enabled: state.interrupt_enable,
            by_msi,
            intx_disabled: self.config.command().interrupt_disable(),
        });
        Ok(())
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
