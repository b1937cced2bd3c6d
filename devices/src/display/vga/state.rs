//! The adapter's state. Video memory is saved separately, like guest memory.

use serde::{Deserialize, Serialize};

use super::{Vga, adapter::lock, dispi::DispiState, registers::Registers};
use crate::{
    pci::ConfigState,
    state::{StateError, Stateful},
};

/// All registers. Those behind ports are saved with the function, too.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    config: ConfigState,
    registers: Registers,
    dispi: DispiState,
}

impl Stateful for Vga {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        let adapter = lock(&self.adapter);
        let (registers, dispi) = (adapter.registers.clone(), adapter.dispi.save());
        Ok(State { config: self.config.save(), registers, dispi })
    }

    /// Loads a state. All of video memory counts as written to afterwards.
    fn load(&mut self, State { config, registers, dispi }: State) -> Result<(), StateError> {
        self.config.load(&config)?;
        if !registers.is_possible() {
            return Err(StateError::Nonsense("a colour of more than three parts"));
        }
        let mut adapter = lock(&self.adapter);
        adapter.registers = registers;
        if !adapter.dispi.load(&dispi) {
            return Err(StateError::Nonsense("the dispi interface has no such version"));
        }
        self.video.dirty().iter().for_each(|dirty| dirty.add(0..Self::MEMORY));
        Ok(())
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
