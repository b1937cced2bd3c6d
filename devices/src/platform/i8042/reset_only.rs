use crate::{
    bus::{BusDevice, Effect},
    state::Stateless,
};

/// The command port, as an offset from the data port.
const COMMAND: u64 = 4;
/// "Pulse output port" with bit 0 low: the CPU's reset line.
const PULSE_RESET: u8 = 0xfe;
/// The status: a parity error and a time-out. OVMF, which does not ask ACPI, waits seconds for a keyboard and a mouse without these two.
const NO_DEVICE: u8 = 1 << 7 | 1 << 6;

/// The keyboard controller's one use to a machine without a keyboard: resetting it, Linux' `reboot=k`.
///
/// ACPI says that it is not there (`IAPC_BOOT_ARCH`). Its status says that no byte is to be read, that it is ready for a command, and
/// that no device answers, so that drivers that poll for any of these do not wait.
#[derive(Debug, Default)]
pub struct ResetOnlyI8042;

impl ResetOnlyI8042 {
    /// The number of ports that it takes. Those between data and command port, which are other chips' on a PC, read all ones.
    pub const LEN: u64 = COMMAND + 1;
}

impl BusDevice for ResetOnlyI8042 {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        match (offset, data) {
            (0, [byte]) => *byte = 0,
            (COMMAND, [byte]) => *byte = NO_DEVICE,
            (_, data) => data.fill(0xff),
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        match (offset, data) {
            (COMMAND, [PULSE_RESET]) => Effect::Reset,
            _ => Effect::None,
        }
    }
}

impl Stateless for ResetOnlyI8042 {}

#[cfg(test)]
#[path = "reset_only_test.rs"]
mod tests;
