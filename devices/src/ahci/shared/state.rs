//! The registers of a port, in the form in which they are saved.

use serde::{Deserialize, Serialize};

use super::{Shared, State};
use crate::{
    ahci::{
        fis::TaskFileState,
        registers::{PortCommand, PortInterrupts, SLOTS, SataError},
    },
    state::StateError,
};

/// A port's registers. Commands that are issued have not been begun.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Registers {
    command_list: u64,
    received_fis: u64,
    causes: u32,
    enabled: u32,
    command: u32,
    current_slot: u8,
    task_file: u32,
    signature: u32,
    sata_status: u32,
    sata_control: u32,
    sata_error: u32,
    sata_active: u32,
    command_issue: u32,
    in_reset: bool,
    halted: bool,
    held: Option<TaskFileState>,
}

impl Shared {
    pub(in super::super) fn save(&self) -> Registers {
        let state = self.state();
        Registers {
            command_list: state.command_list,
            received_fis: state.received_fis,
            causes: state.causes.bits(),
            enabled: state.enabled.bits(),
            command: state.command.bits(),
            current_slot: state.current_slot,
            task_file: state.task_file,
            signature: state.signature,
            sata_status: state.sata_status,
            sata_control: state.sata_control,
            sata_error: state.sata_error.bits(),
            sata_active: state.sata_active,
            command_issue: state.command_issue,
            in_reset: state.in_reset,
            halted: state.halted,
            held: state.held.map(Into::into),
        }
    }

    /// Loads a state, without an interrupt.
    ///
    /// # Errors
    ///
    /// A register has an impossible value.
    pub(in super::super) fn load(&self, state: Registers) -> Result<(), StateError> {
        let nonsense = StateError::Nonsense("a port's register with bits that it does not keep");
        let command =
            PortCommand::from_bits(state.command).filter(|command| PortCommand::KEPT.contains(*command));
        let causes = PortInterrupts::from_bits(state.causes);
        let enabled = PortInterrupts::from_bits(state.enabled);
        let sata_error = SataError::from_bits(state.sata_error);
        let (Some(command), Some(causes), Some(enabled), Some(sata_error), 0..SLOTS) =
            (command, causes, enabled, sata_error, state.current_slot)
        else {
            return Err(nonsense);
        };
        *self.state() = State {
            command_list: state.command_list,
            received_fis: state.received_fis,
            causes,
            enabled,
            command,
            current_slot: state.current_slot,
            task_file: state.task_file,
            signature: state.signature,
            sata_status: state.sata_status,
            sata_control: state.sata_control,
            sata_error,
            sata_active: state.sata_active,
            command_issue: state.command_issue,
            in_reset: state.in_reset,
            halted: state.halted,
            held: state.held.map(Into::into),
            ..State::new()
        };
        Ok(())
    }
}
