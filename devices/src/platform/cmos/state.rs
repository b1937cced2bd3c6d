//! The state of the CMOS memory and its clock. While no machine runs, the time goes on by the host's clock, as with a battery.

use serde::{Deserialize, Serialize};

use super::{
    CmosPorts, NMI_MASK,
    chip::{self, BYTES},
};
use crate::state::{StateError, Stateful, hex};

/// The chip, and the selected byte.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    index: u8,
    #[serde(with = "hex")]
    memory: [u8; BYTES],
    flags: u8,
    /// Nanoseconds to add to the host's time to get the divider's time, unless the divider is held in reset.
    divider: Option<i64>,
    /// Seconds by which the counters are ahead of the divider.
    ahead: i64,
    /// The divider's time up to which flags have been set.
    seen: i64,
}

impl Stateful for CmosPorts {
    type State = State;

    fn save(&self) -> Result<State, StateError> {
        let chip::State { memory, flags, divider, ahead, seen } = self.cmos.chip().save();
        let time = |time| i64::try_from(time).map_err(|_| StateError::Nonsense("a time centuries away"));
        let divider = divider.map(time).transpose()?;
        Ok(State { index: self.index, memory, flags, divider, ahead: time(ahead)?, seen: time(seen)? })
    }

    /// Loads a state. The guest gets interrupts for what has happened since by the host's clock, such as an alarm.
    fn load(&mut self, state: State) -> Result<(), StateError> {
        let State { index, memory, flags, divider, ahead, seen } = state;
        if index & NMI_MASK != 0 {
            return Err(StateError::Nonsense("a byte past the end of memory"));
        }
        self.index = index;
        let saved = chip::State {
            memory,
            flags,
            divider: divider.map(i128::from),
            ahead: ahead.into(),
            seen: seen.into(),
        };
        let cmos = self.cmos.clone();
        let mut chip = cmos.chip();
        chip.load(saved);
        chip.advance(self.timer.now());
        self.update(&chip);
        Ok(())
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
