//! The state of a flash chip, including its contents: their file may change after the snapshot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BLOCK, ERASE_ERROR, ERASED, Flash, Mode, PROGRAM_ERROR, READY};
use crate::state::{StateError, Stateful, hex};

/// The chip's registers and contents.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    mode: Mode,
    status: u8,
    size: u64,
    /// The blocks that are not erased, by number.
    blocks: BTreeMap<usize, Block>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Block(#[serde(with = "hex")] Vec<u8>);

impl Stateful for Flash {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        let contents = self.contents();
        let blocks = contents.chunks(BLOCK).enumerate();
        let used = blocks.filter(|(_, block)| block.iter().any(|&byte| byte != ERASED));
        Ok(State {
            mode: self.mode,
            status: self.status,
            size: self.size(),
            blocks: used.map(|(number, block)| (number, Block(block.to_vec()))).collect(),
        })
    }

    /// Loads a state. If its contents differ from the chip's now, they go to the store with the guest's next change, or at the machine's
    /// end.
    fn load(&mut self, state: State) -> Result<(), StateError> {
        if state.size != self.size() {
            return Err(StateError::Nonsense("a chip of another size"));
        }
        if state.status & !(READY | ERASE_ERROR | PROGRAM_ERROR) != 0 {
            return Err(StateError::Nonsense("a status with unknown bits"));
        }
        let before = self.contents();
        let mut contents = vec![ERASED; before.len()];
        for (number, Block(bytes)) in state.blocks {
            let place = contents.chunks_mut(BLOCK).nth(number).filter(|place| place.len() == bytes.len());
            place.ok_or(StateError::Nonsense("a block that the chip does not have"))?.copy_from_slice(&bytes);
        }
        if contents != before {
            self.chip.as_volatile_slice().copy_from(&contents[..]);
            self.changed = true;
        }
        (self.mode, self.status) = (state.mode, state.status);
        Ok(())
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
