//! The state of the keyboard controller and of its keyboard.

use serde::{Deserialize, Serialize};

use super::{CommandByte, I8042, Output, Status, keyboard, scancodes::Translator};
use crate::state::{StateError, Stateful};

/// The registers, the waiting bytes, and the keyboard.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    command_byte: u8,
    command: Option<u8>,
    was_command: bool,
    output: Option<OutputState>,
    reply: Option<OutputState>,
    last: u8,
    /// The translator has got the prefix of a release.
    is_release: bool,
    keyboard: keyboard::State,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputState {
    byte: u8,
    status: u8,
    is_reply: bool,
}

impl Stateful for I8042 {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        let output = |output: Option<Output>| {
            output.map(|Output { byte, status, is_reply }| OutputState {
                byte,
                status: status.bits(),
                is_reply,
            })
        };
        Ok(State {
            command_byte: self.command_byte.bits(),
            command: self.command,
            was_command: self.was_command,
            output: output(self.output),
            reply: output(self.reply),
            last: self.last,
            is_release: self.translator.is_release,
            keyboard: self.keyboard.save(),
        })
    }

    /// Loads a state. Pressed keys are released: whoever pressed them is not there any more.
    fn load(&mut self, state: State) -> Result<(), StateError> {
        let output = |output: Option<OutputState>| {
            let Some(OutputState { byte, status, is_reply }) = output else { return Ok(None) };
            let status = Status::from_bits(status).filter(|status| OUTPUT_STATUS.contains(*status));
            let status = status.ok_or(StateError::Nonsense("a byte with a status that none has"))?;
            Ok(Some(Output { byte, status, is_reply }))
        };
        let command_byte = CommandByte::from_bits(state.command_byte);
        self.command_byte = command_byte.ok_or(StateError::Nonsense("a command byte with unknown bits"))?;
        self.command = state.command;
        self.was_command = state.was_command;
        (self.output, self.reply) = (output(state.output)?, output(state.reply)?);
        self.last = state.last;
        self.translator = Translator { is_release: state.is_release };
        self.keyboard.load(state.keyboard)?;
        self.update();
        Ok(())
    }
}

/// The status bits that belong to a byte.
const OUTPUT_STATUS: Status = Status::MOUSE.union(Status::TIMEOUT);

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
