use bitflags::bitflags;

use crate::{
    bus::{BusDevice, Effect},
    state::{StateError, Stateful},
};

bitflags! {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Bits: u8 {
        /// INIT: its rising edge resets the processor, and here the machine.
        const INIT_NOW = 1 << 0;
        /// The fast A20 gate.
        const ALT_A20_GATE = 1 << 1;
    }
}

/// A PC's system control port A: a reset without a keyboard controller, and the fast A20 gate.
///
/// Address line 20 is never masked: the gate always reads as open.
#[derive(Debug, Default)]
pub struct SystemControlA {
    init: bool,
}

impl SystemControlA {
    /// The number of ports.
    pub const LEN: u64 = 1;
}

impl BusDevice for SystemControlA {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        let mut bits = Bits::ALT_A20_GATE;
        bits.set(Bits::INIT_NOW, self.init);
        data.fill(bits.bits());
    }

    fn write(&mut self, _offset: u64, data: &[u8]) -> Effect {
        let bits = Bits::from_bits_truncate(data.first().copied().unwrap_or_default());
        let init = bits.contains(Bits::INIT_NOW);
        let rises = !std::mem::replace(&mut self.init, init) && init;
        if rises { Effect::Reset } else { Effect::None }
    }
}

/// The level of INIT, since only its rising edge resets.
impl Stateful for SystemControlA {
    type State = bool;

    fn save(&self) -> Result<bool, StateError> {
        Ok(self.init)
    }

    fn load(&mut self, init: bool) -> Result<(), StateError> {
        self.init = init;
        Ok(())
    }
}

#[cfg(test)]
#[path = "system_control_test.rs"]
mod tests;
