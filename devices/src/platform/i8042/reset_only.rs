use crate::{
    bus::{BusDevice, Effect},
    state::Stateless,
};

/// The offset of the command port.
const COMMAND: u64 = 4;
/// "Pulse output port" with bit 0 low: the CPU's reset line.
const PULSE_RESET: u8 = 0xfe;
/// The status: a parity error and a time-out. Without these two, OVMF, which does not read ACPI's flag, waits seconds for a keyboard and a
/// mouse.
const NO_DEVICE: u8 = 1 << 7 | 1 << 6;

/// The keyboard controller of a machine without a keyboard, whose only use is a reset: Linux' `reboot=k`.
///
/// ACPI says that it is not there (`IAPC_BOOT_ARCH`). Its status says that no byte waits, that it is ready for a command, and that no
/// device answers, so that drivers that poll for any of these do not wait.
#[derive(Debug, Default)]
pub struct ResetOnlyI8042;

impl ResetOnlyI8042 {
    /// The number of ports. Those between the data port and the command port belong to other chips on a PC, and read all ones.
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
