//! The state of fw_cfg. Its items are not saved, but made again from their sources.

use serde::{Deserialize, Serialize};

use super::{FwCfg, Selected};
use crate::state::{StateError, Stateful};

/// The item that the guest reads, the offset of the next byte, and half of an address.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    key: u16,
    offset: u64,
    dma_high: u32,
}

impl Stateful for FwCfg {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        let Selected { key, offset } = self.selected;
        Ok(State { key, offset, dma_high: self.dma_high })
    }

    /// Loads a state. An item about other devices is made here: their states have been loaded before.
    fn load(&mut self, State { key, offset, dma_high }: State) -> Result<(), StateError> {
        self.select(key);
        self.selected.offset = offset.min(self.items.len(key));
        self.dma_high = dma_high;
        Ok(())
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
