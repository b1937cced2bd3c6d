//! A PS/2 keyboard: IBM, "Personal System/2 Hardware Interface Technical Reference", "Keyboard (101- and 102-Key)".

mod state;

use std::collections::{BTreeMap, VecDeque};

pub(super) use self::state::State;
use super::scancodes::{CodeSet, Held};
use crate::input::Key;

/// The most bytes of keys that wait for the host. There is room for one more, which reports lost keys.
const FIFO: usize = 16;

const ACK: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const ECHO: u8 = 0xee;
/// Basic assurance test (BAT): passed.
const BAT_PASSED: u8 = 0xaa;
/// The answer of an MF2 keyboard to "read ID".
const ID: [u8; 2] = [0xab, 0x83];
/// The lowest code of a command. Lower bytes are parameters.
const FIRST_COMMAND: u8 = 0xed;

const LEFT_SHIFT: Key = Key(0x2a);
const RIGHT_SHIFT: Key = Key(0x36);
const CTRL: [Key; 2] = [Key(0x1d), Key(0x9d)];
const ALT: [Key; 2] = [Key(0x38), Key(0xb8)];

/// A keyboard.
///
/// The keyboard does not repeat a key that is held: a VNC viewer sends its user's repetitions as presses. Repetitions by the keyboard would be added
/// to these, and would not end when the viewer's connection stalls.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    set: CodeSet,
    /// The command that expects a parameter next.
    command: Option<u8>,
    leds: u8,
    is_disabled: bool,
    /// The answer to the last command, which is sent before keys.
    answer: VecDeque<u8>,
    keys: VecDeque<u8>,
    /// The last byte that was sent.
    sent: u8,
    /// The keys that are pressed in the host's view, each with the bytes of its release.
    down: BTreeMap<Key, Vec<u8>>,
    /// Releases that did not fit into the FIFO. They are kept: a key that stays down is worse than one that was not pressed.
    late: VecDeque<Vec<u8>>,
}

impl Keyboard {
    /// Presses or releases a key.
    pub(super) fn key(&mut self, key: Key, pressed: bool) {
        if !pressed {
            if let Some(release) = self.down.remove(&key).filter(|_| !self.is_disabled) {
                self.late.push_back(release);
                self.send_late();
            }
            return;
        }
        if self.is_disabled {
            return;
        }
        let Some(codes) = self.set.codes(key, self.held()) else { return };
        if !self.late.is_empty() || self.keys.len() + codes.make.len() > FIFO {
            let overrun = self.set.overrun();
            if self.keys.len() <= FIFO && self.keys.back() != Some(&overrun) {
                self.keys.push_back(overrun);
            }
            return;
        }
        self.keys.extend(codes.make);
        self.down.entry(key).or_insert(codes.release);
    }

    /// Takes the next byte for the host.
    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.answer.pop_front().or_else(|| {
            let byte = self.keys.pop_front()?;
            self.send_late();
            Some(byte)
        })?;
        self.sent = byte;
        Some(byte)
    }

    /// Handles a byte from the host: a command, or a parameter.
    pub(super) fn write(&mut self, byte: u8) {
        // The host does not wait for the rest of an earlier answer.
        self.answer.clear();
        match self.command.take() {
            Some(command) if byte < FIRST_COMMAND => self.parameter(command, byte),
            _ => self.command(byte),
        }
    }

    /// The lights that are on: bit 0 is Scroll Lock's, 1 Num Lock's, 2 Caps Lock's.
    #[cfg(test)]
    pub(super) fn leds(&self) -> u8 {
        self.leds
    }

    fn command(&mut self, command: u8) {
        match command {
            // Lights; set of codes; rate of repetition.
            0xed | 0xf0 | 0xf3 => self.command = Some(command),
            0xee => return self.answer.push_back(ECHO),
            0xf2 => {
                self.answer.push_back(ACK);
                return self.answer.extend(ID);
            }
            0xf4 => {
                self.forget_keys();
                self.is_disabled = false;
            }
            0xf5 => {
                self.set_defaults();
                self.is_disabled = true;
            }
            0xf6 => self.set_defaults(),
            // Make all keys repeat, have a release, or both: those of set 3 always do.
            0xf7..=0xfa => {}
            0xfe => return self.answer.push_back(self.sent),
            0xff => {
                self.set_defaults();
                self.is_disabled = false;
                return self.answer.extend([ACK, BAT_PASSED]);
            }
            _ => return self.answer.push_back(RESEND),
        }
        self.answer.push_back(ACK);
    }

    fn parameter(&mut self, command: u8, parameter: u8) {
        match (command, parameter) {
            (0xed, lights) => self.leds = lights & 0b111,
            (0xf0, 0) => {
                let set = self.set.number();
                return self.answer.extend([ACK, set]);
            }
            (0xf0, number) => match CodeSet::from_number(number) {
                Some(set) => {
                    self.forget_keys();
                    self.set = set;
                }
                None => return self.answer.push_back(RESEND),
            },
            // The rate of repetition has no effect.
            _ => {}
        }
        self.answer.push_back(ACK);
    }

    fn set_defaults(&mut self) {
        self.forget_keys();
        self.set = CodeSet::default();
        self.leds = 0;
    }

    /// Empties the FIFO. Keys that are down will still be released.
    fn forget_keys(&mut self) {
        self.keys.clear();
        self.late.clear();
    }

    /// Moves releases into the FIFO as far as there is room.
    fn send_late(&mut self) {
        while let Some(release) = self.late.front()
            && self.keys.len() + release.len() <= FIFO
        {
            self.keys.extend(release);
            self.late.pop_front();
        }
    }

    fn held(&self) -> Held {
        let any = |keys: &[Key]| keys.iter().any(|key| self.down.contains_key(key));
        Held { shift: any(&[LEFT_SHIFT, RIGHT_SHIFT]), ctrl: any(&CTRL), alt: any(&ALT) }
    }
}

#[cfg(test)]
#[path = "keyboard_test.rs"]
mod tests;
