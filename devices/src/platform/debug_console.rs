use serde::{Deserialize, Serialize};

use crate::{
    bus::{BusDevice, Effect},
    printable::ToPrintable,
    state::{StateError, Stateful, hex},
};

/// The value by which firmware recognizes that the port exists.
const PRESENT: u8 = 0xe9;
/// The longest line, so that a guest that never ends a line can't use up memory.
const LINE_MAX: usize = 512;

/// QEMU's `isa-debugcon`: a port for firmware's messages, which nvmm logs line by line at the level `-vv`.
#[derive(Debug, Default)]
pub struct DebugConsole {
    line: Vec<u8>,
}

impl DebugConsole {
    /// The number of ports.
    pub const LEN: u64 = 1;

    /// Adds a byte, and returns the line if the byte ends one.
    fn take(&mut self, byte: u8) -> Option<String> {
        if byte != b'\n' {
            self.line.push(byte);
        }
        let ends = byte == b'\n' || self.line.len() == LINE_MAX;
        let line = ends.then(|| std::mem::take(&mut self.line)).filter(|line| !line.is_empty())?;
        Some(line.printable().to_string())
    }
}

impl BusDevice for DebugConsole {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(PRESENT);
    }

    fn write(&mut self, _offset: u64, data: &[u8]) -> Effect {
        for line in data.iter().filter_map(|&byte| self.take(byte)) {
            log::debug!("firmware: {line}");
        }
        Effect::None
    }
}

/// The beginning of an unfinished line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    #[serde(with = "hex")]
    line: Vec<u8>,
}

impl Stateful for DebugConsole {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        Ok(State { line: self.line.clone() })
    }

    fn load(&mut self, State { line }: State) -> Result<(), StateError> {
        if line.len() >= LINE_MAX {
            return Err(StateError::Nonsense("a line that is too long"));
        }
        self.line = line;
        Ok(())
    }
}

#[cfg(test)]
#[path = "debug_console_test.rs"]
mod tests;
