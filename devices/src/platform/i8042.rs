//! The keyboard controller of a PC, with the keyboard behind it.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod keyboard;
mod reset_only;
mod scancodes;
mod state;

use std::sync::Arc;

use bitflags::bitflags;

pub use self::reset_only::ResetOnlyI8042;
use self::{keyboard::Keyboard, scancodes::Translator};
use crate::{
    bus::{BusDevice, Effect},
    input::{Key, Keys},
    irq::Line,
};

/// The offset of the data port.
const DATA: u64 = 0;
/// The offset of the port for commands and the status.
const COMMAND: u64 = 4;

/// The answer to the controller's self-test, and the answer to a test of a working port.
const SELF_TEST_PASSED: u8 = 0x55;
const PORT_WORKS: u8 = 0;
/// The answer to a test of the mouse's port: the clock line is stuck low, as no mouse pulls it up.
const CLOCK_STUCK_LOW: u8 = 1;
/// The byte in place of an answer from a device that does not respond.
const NO_ANSWER: u8 = 0xfe;

/// The input port: the keyboard is not locked.
const INPUT_PORT: u8 = 0x80;
/// The output port's lowest bit: the machine's reset line, active low.
const NO_RESET: u8 = 1 << 0;
/// The output port: the A20 gate, which is always open here, and bits that nothing drives low.
const OUTPUT_PORT: u8 = 0xce | NO_RESET;
const OUTPUT_PORT_FULL: u8 = 1 << 4;

bitflags! {
    /// The status register.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Status: u8 {
        /// There is a byte to read.
        const OUTPUT_FULL = 1 << 0;
        /// The controller has passed its self-test.
        const SYSTEM = 1 << 2;
        /// The last byte from the guest was a command.
        const COMMAND = 1 << 3;
        /// The keyboard is not locked.
        const UNLOCKED = 1 << 4;
        /// The byte to read comes from the mouse.
        const MOUSE = 1 << 5;
        /// The device at the port did not answer.
        const TIMEOUT = 1 << 6;
    }

    /// The controller's command byte.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct CommandByte: u8 {
        const KEYBOARD_INTERRUPT = 1 << 0;
        const MOUSE_INTERRUPT = 1 << 1;
        const SYSTEM = 1 << 2;
        const IGNORE_LOCK = 1 << 3;
        const KEYBOARD_OFF = 1 << 4;
        const MOUSE_OFF = 1 << 5;
        const TRANSLATE = 1 << 6;
    }
}

impl Default for CommandByte {
    /// The settings of a BIOS for a kernel, as a kernel may start without a BIOS.
    fn default() -> Self {
        Self::KEYBOARD_INTERRUPT | Self::SYSTEM | Self::MOUSE_OFF | Self::TRANSLATE
    }
}

/// A byte to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Output {
    byte: u8,
    /// [`Status::MOUSE`] and [`Status::TIMEOUT`].
    status: Status,
    /// The byte comes from the controller, not from a device.
    is_reply: bool,
}

/// The keyboard controller, the AT's i8042 as in the PS/2, with a keyboard and without a mouse.
///
/// IBM, "Personal System/2 Hardware Interface Technical Reference", "Keyboard and Auxiliary Device Controller". A driver that looks for a
/// mouse finds at once that the second port does not work, and waits for no answer.
#[derive(Debug)]
pub struct I8042 {
    keyboard: Keyboard,
    translator: Translator,
    command_byte: CommandByte,
    /// The command that waits for a byte at the data port.
    command: Option<u8>,
    /// The last byte from the guest was a command.
    was_command: bool,
    /// The byte to read, which stays until it is read.
    output: Option<Output>,
    /// The controller's reply after that byte.
    reply: Option<Output>,
    /// The byte that was last read.
    last: u8,
    line: Arc<dyn Line>,
    is_raised: bool,
}

impl I8042 {
    /// The number of ports. Those between the data port and the command port belong to other chips on a PC, and read all ones.
    pub const LEN: u64 = COMMAND + 1;

    /// Makes a controller. `line` is edge-triggered: it rises for each byte of the keyboard.
    #[must_use]
    pub fn new(line: Arc<dyn Line>) -> Self {
        Self {
            keyboard: Keyboard::default(),
            translator: Translator::default(),
            command_byte: CommandByte::default(),
            command: None,
            was_command: false,
            output: None,
            reply: None,
            last: 0,
            line,
            is_raised: false,
        }
    }

    fn status(&self) -> Status {
        let mut status = Status::UNLOCKED;
        status.set(Status::SYSTEM, self.command_byte.contains(CommandByte::SYSTEM));
        status.set(Status::COMMAND, self.was_command);
        if let Some(output) = self.output {
            status |= Status::OUTPUT_FULL | output.status;
        }
        status
    }

    fn read_data(&mut self) -> u8 {
        if let Some(output) = self.output.take() {
            self.last = output.byte;
            // Each byte is an edge.
            self.raise(false);
            self.update();
        }
        self.last
    }

    fn write_command(&mut self, command: u8) -> Effect {
        self.command = None;
        match command {
            0x20 => self.reply(self.command_byte.bits()),
            // Command byte; output port; output buffers of keyboard and mouse; byte for the mouse. The data port gets the parameter.
            0x60 | 0xd1..=0xd4 => self.command = Some(command),
            // There is no second device to enable or disable.
            0xa7 | 0xa8 => {}
            0xa9 => self.reply(CLOCK_STUCK_LOW),
            0xaa => {
                self.command_byte |= CommandByte::SYSTEM;
                self.reply(SELF_TEST_PASSED);
            }
            0xab => self.reply(PORT_WORKS),
            0xad => self.command_byte |= CommandByte::KEYBOARD_OFF,
            0xae => self.command_byte -= CommandByte::KEYBOARD_OFF,
            0xc0 => self.reply(INPUT_PORT),
            0xd0 => {
                let full = if self.output.is_some() { OUTPUT_PORT_FULL } else { 0 };
                self.reply(OUTPUT_PORT | full);
            }
            // "Pulse output port": bits that are zero are pulsed.
            0xf0.. if command & NO_RESET == 0 => return Effect::Reset,
            // Other commands, such as those for the A20 gate, have no answer.
            _ => {}
        }
        Effect::None
    }

    fn write_data(&mut self, byte: u8) -> Effect {
        match self.command.take() {
            Some(0x60) => {
                // The mouse stays disabled, as there is none.
                self.command_byte = CommandByte::from_bits_truncate(byte) | CommandByte::MOUSE_OFF;
            }
            Some(0xd1) if byte & NO_RESET == 0 => return Effect::Reset,
            Some(0xd2) => self.put(Output { byte, status: Status::empty(), is_reply: false }),
            // The reply is not marked as the mouse's: so a loop-back test of its port shows that there is no mouse.
            Some(0xd3) => self.reply(byte),
            Some(0xd4) => {
                let status = Status::MOUSE | Status::TIMEOUT;
                self.put(Output { byte: NO_ANSWER, status, is_reply: true });
            }
            Some(_) => {}
            None => {
                // The keyboard must be able to answer.
                self.command_byte -= CommandByte::KEYBOARD_OFF;
                self.keyboard.write(byte);
            }
        }
        Effect::None
    }

    fn reply(&mut self, byte: u8) {
        self.put(Output { byte, status: Status::empty(), is_reply: true });
    }

    /// Queues a byte of the controller: after a waiting byte of the keyboard, and in place of a reply that has not been read.
    fn put(&mut self, output: Output) {
        if self.output.is_some_and(|output| output.is_reply) {
            self.output = None;
        }
        self.reply = Some(output);
    }

    /// Fills the output buffer if it is empty, and drives the line.
    fn update(&mut self) {
        if self.output.is_none() {
            self.output = self.reply.take().or_else(|| {
                let byte = self.next_key()?;
                Some(Output { byte, status: Status::empty(), is_reply: false })
            });
        }
        let interrupts = self.command_byte.contains(CommandByte::KEYBOARD_INTERRUPT);
        self.raise(interrupts && self.output.is_some_and(|output| !output.status.contains(Status::MOUSE)));
    }

    /// The next byte of the keyboard, translated if that is on.
    fn next_key(&mut self) -> Option<u8> {
        while !self.command_byte.contains(CommandByte::KEYBOARD_OFF) {
            let byte = self.keyboard.next()?;
            let translates = self.command_byte.contains(CommandByte::TRANSLATE);
            let translated = if translates { self.translator.next(byte) } else { Some(byte) };
            if translated.is_some() {
                return translated;
            }
        }
        None
    }

    fn raise(&mut self, high: bool) {
        if self.is_raised != high {
            self.is_raised = high;
            self.line.set(high);
        }
    }
}

impl Keys for I8042 {
    fn key(&mut self, key: Key, pressed: bool) {
        self.keyboard.key(key, pressed);
        self.update();
    }
}

impl BusDevice for I8042 {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        match (offset, data) {
            (DATA, [byte]) => *byte = self.read_data(),
            (COMMAND, [byte]) => *byte = self.status().bits(),
            (_, data) => data.fill(0xff),
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let effect = match (offset, data) {
            (DATA, &[byte]) => {
                self.was_command = false;
                self.write_data(byte)
            }
            (COMMAND, &[command]) => {
                self.was_command = true;
                self.write_command(command)
            }
            _ => return Effect::None,
        };
        self.update();
        effect
    }
}

#[cfg(test)]
#[path = "i8042_test.rs"]
mod tests;
