use crate::{
    bus::{BusDevice, Effect},
    state::Stateless,
};

/// QEMU's `isa-debug-exit`: a write ends the VMM with the status `(value << 1) | 1`, so that no guest can produce 0, which means success.
#[derive(Debug, Default)]
pub struct DebugExit;

impl DebugExit {
    /// The number of ports: a guest may write one, two or four bytes.
    pub const LEN: u64 = 4;
}

impl BusDevice for DebugExit {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&mut self, _offset: u64, data: &[u8]) -> Effect {
        // An exit status is one byte: as in QEMU, only the lowest byte counts.
        let value = data.first().copied().unwrap_or_default();
        Effect::Exit(value << 1 | 1)
    }
}

impl Stateless for DebugExit {}

#[cfg(test)]
#[path = "debug_exit_test.rs"]
mod tests;
