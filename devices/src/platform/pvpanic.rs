use bitflags::bitflags;

use crate::{
    bus::{BusDevice, Effect},
    once::Once,
    state::Stateless,
};

bitflags! {
    /// QEMU's specification of pvpanic, "Bit Definition".
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Events: u8 {
        /// The guest has panicked, and leaves it to the host to react.
        const PANICKED = 1 << 0;
        /// The guest has panicked, and handles it itself by starting its crash kernel.
        const CRASHLOADED = 1 << 1;
        /// The guest has shut down.
        const SHUTDOWN = 1 << 2;
    }
}

/// QEMU's pvpanic on the ISA bus: one port, on which a guest's kernel reports that it panics.
#[derive(Debug, Default)]
pub struct PvPanic {
    said_crash: Once,
}

impl PvPanic {
    /// The number of ports.
    pub const LEN: u64 = 1;
}

impl BusDevice for PvPanic {
    /// Reads the supported events.
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(Events::all().bits());
    }

    fn write(&mut self, _offset: u64, data: &[u8]) -> Effect {
        let events = Events::from_bits_truncate(data.first().copied().unwrap_or_default());
        if events.contains(Events::PANICKED) {
            return Effect::Panicked;
        }
        if events.contains(Events::CRASHLOADED) {
            self.said_crash.warn(format_args!("the guest's kernel panicked, and runs its crash kernel"));
        }
        if events.contains(Events::SHUTDOWN) { Effect::PowerOff } else { Effect::None }
    }
}

impl Stateless for PvPanic {}

#[cfg(test)]
#[path = "pvpanic_test.rs"]
mod tests;
