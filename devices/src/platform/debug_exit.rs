use crate::{
    bus::{BusDevice, Effect},
    state::Stateless,
};

/// QEMU's `isa-debug-exit`: a write ends the VMM with the status `(value << 1) | 1`, so that no guest can claim the
/// success that 0 means.
#[derive(Debug, Default)]
pub struct DebugExit;

impl DebugExit {
    /// The number of ports that it takes: a guest may write one, two or four bytes.
    pub const LEN: u64 = 4;
}

impl BusDevice for DebugExit {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&mut self, _offset: u64, data: &[u8]) -> Effect {
        // An exit status is one byte: what is beyond the lowest does not show, in QEMU either.
        let value = data.first().copied().unwrap_or_default();
        Effect::Exit(value << 1 | 1)
    }
}

impl Stateless for DebugExit {}

#[cfg(test)]
#[path = "debug_exit_test.rs"]
mod tests;
