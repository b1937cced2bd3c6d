//! The state of ACPI's fixed hardware.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Control, Events, PowerManagement};
use crate::state::{StateError, Stateful};

/// The registers. The PM timer continues where it stopped: the guest doesn't see it go back, nor the time in between.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    status: u16,
    enable: u16,
    sleep_type: u8,
    press_when_enabled: bool,
    /// Nanoseconds that the PM timer has counted.
    timer: u64,
    /// Changes of its top bit that the guest has acknowledged.
    carries: u64,
}

impl Stateful for PowerManagement {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        let (elapsed, carries) = self.timer.save();
        Ok(State {
            status: self.status.bits(),
            enable: self.enable.bits(),
            sleep_type: self.sleep_type,
            press_when_enabled: self.press_when_enabled,
            timer: u64::try_from(elapsed.as_nanos())
                .map_err(|_| StateError::Nonsense("centuries of time"))?,
            carries,
        })
    }

    fn load(&mut self, state: State) -> Result<(), StateError> {
        let events = |bits| Events::from_bits(bits).ok_or(StateError::Nonsense("there are no such events"));
        (self.status, self.enable) = (events(state.status)?, events(state.enable)?);
        if u32::from(state.sleep_type) >= 1 << Control::SLEEP_TYPE_BITS {
            return Err(StateError::Nonsense("a sleep type of more than three bits"));
        }
        self.sleep_type = state.sleep_type;
        self.press_when_enabled = state.press_when_enabled;
        if !self.timer.load(Duration::from_nanos(state.timer), state.carries) {
            return Err(StateError::Nonsense("carries of the PM timer that are still to come"));
        }
        self.drive_sci();
        Ok(())
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
