//! The codes of a keyboard's keys: IBM, "Personal System/2 Hardware Interface Technical Reference", "Keyboard (101- and 102-Key)",
//! "Scan Codes".

use crate::input::Key;

/// The prefix of a key that the first keyboards did not have.
const EXTENDED: u8 = 0xe0;
/// The prefix of the one key whose sequence has two codes.
const EXTENDED_TWICE: u8 = 0xe1;
/// The prefix of a release, in sets 2 and 3.
const BREAK: u8 = 0xf0;
/// The bit of a release, in set 1.
const BREAK_BIT: u8 = 0x80;

/// The key for Print Screen; with Alt, System Request.
const PRINT: Key = Key(0xb7);
/// System Request with a number of its own, though it is the same key.
const SYSTEM_REQUEST: Key = Key(0x54);
/// The key for Pause; with Ctrl, Break.
const PAUSE: Key = Key(0xc6);
const F7: u8 = 0x41;
const SCROLL_LOCK: u8 = 0x46;
const LEFT_CTRL: u8 = 0x1d;
const LEFT_SHIFT: u8 = 0x2a;
const NUM_LOCK: u8 = 0x45;
/// The last key of the keypad. Behind it, only Japanese keyboards have keys that write.
const KEYPAD_DECIMAL: u8 = 0x53;
const RO: u8 = 0x73;

/// The controller's translation from set 2 to set 1. It leaves codes from 80H on as they are, except those of F7 and System Request.
#[rustfmt::skip]
const TRANSLATION: [u8; 128] = [
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
];

/// The reverse translation, which gives the keyboard's codes of set 2 from those of set 1.
const SET_2: [u8; 128] = {
    let mut codes = [0; 128];
    let mut code: u8 = 1;
    while code < 128 {
        codes[TRANSLATION[code as usize] as usize] = code;
        code += 1;
    }
    codes
};

/// The keys whose codes in set 3, which has no prefixes, differ from those in set 2.
const SET_3: [(Key, u8); 45] = [
    (Key(0x01), 0x08),
    (Key(0x1d), 0x11),
    (Key(0x2b), 0x5c),
    (Key(0x36), 0x59),
    (Key(0x37), 0x7e),
    (Key(0x38), 0x19),
    (Key(0x3a), 0x14),
    (Key(0x3b), 0x07),
    (Key(0x3c), 0x0f),
    (Key(0x3d), 0x17),
    (Key(0x3e), 0x1f),
    (Key(0x3f), 0x27),
    (Key(0x40), 0x2f),
    (Key(0x41), 0x37),
    (Key(0x42), 0x3f),
    (Key(0x43), 0x47),
    (Key(0x44), 0x4f),
    (Key(0x45), 0x76),
    (Key(0x46), 0x5f),
    (Key(0x4a), 0x84),
    (Key(0x4e), 0x7c),
    (Key(0x56), 0x13),
    (Key(0x57), 0x56),
    (Key(0x58), 0x5e),
    (Key(0x70), 0x87),
    (Key(0x79), 0x86),
    (Key(0x7b), 0x85),
    (Key(0x7d), 0x5d),
    (Key(0x9c), 0x79),
    (Key(0x9d), 0x58),
    (Key(0xb5), 0x77),
    (Key(0xb8), 0x39),
    (Key(0xc7), 0x6e),
    (Key(0xc8), 0x63),
    (Key(0xc9), 0x6f),
    (Key(0xcb), 0x61),
    (Key(0xcd), 0x6a),
    (Key(0xcf), 0x65),
    (Key(0xd0), 0x60),
    (Key(0xd1), 0x6d),
    (Key(0xd2), 0x67),
    (Key(0xd3), 0x64),
    (Key(0xdb), 0x8b),
    (Key(0xdc), 0x8c),
    (Key(0xdd), 0x8d),
];
/// Set 3's codes of the two keys that have sequences in the other sets.
const SET_3_PRINT: u8 = 0x57;
const SET_3_PAUSE: u8 = 0x62;

/// A set of codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CodeSet {
    One,
    #[default]
    Two,
    Three,
}

/// The pressed keys that change the codes of other keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) shift: bool,
    pub(super) ctrl: bool,
    pub(super) alt: bool,
}

/// The bytes for pressing a key, and those for releasing it, of which there may be none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Codes {
    pub(super) make: Vec<u8>,
    pub(super) release: Vec<u8>,
}

impl CodeSet {
    /// The set with this number.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            3 => Some(Self::Three),
            _ => None,
        }
    }

    /// The set's number.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    /// The byte that stands for lost keys.
    pub(super) fn overrun(self) -> u8 {
        match self {
            Self::One => 0xff,
            Self::Two | Self::Three => 0,
        }
    }

    /// The bytes of a key; none if the set has no code for it.
    pub(super) fn codes(self, key: Key, held: Held) -> Option<Codes> {
        if self == Self::Three {
            return set_3(key).map(|code| Codes { make: vec![code], release: vec![BREAK, code] });
        }
        let (make, release) = match key {
            PAUSE if held.ctrl => {
                // It is pressed and released at once.
                let make = [self.press(Key(SCROLL_LOCK | 0x80)), self.release(Key(SCROLL_LOCK | 0x80))];
                (make.concat(), Vec::new())
            }
            PAUSE => {
                let mut make =
                    vec![EXTENDED_TWICE, self.code(LEFT_CTRL), self.code(NUM_LOCK), EXTENDED_TWICE];
                make.extend(self.release(Key(LEFT_CTRL)));
                make.extend(self.release(Key(NUM_LOCK)));
                (make, Vec::new())
            }
            PRINT | SYSTEM_REQUEST if held.alt => (self.press(SYSTEM_REQUEST), self.release(SYSTEM_REQUEST)),
            PRINT | SYSTEM_REQUEST if held.ctrl || held.shift => (self.press(PRINT), self.release(PRINT)),
            PRINT | SYSTEM_REQUEST => {
                // With its own shift code, because the first keyboards had it as Shift and the keypad's asterisk.
                let shift = Key(LEFT_SHIFT | 0x80);
                let make = [self.press(shift), self.press(PRINT)];
                (make.concat(), [self.release(PRINT), self.release(shift)].concat())
            }
            Key(0 | 0x80) => return None,
            key => (self.press(key), self.release(key)),
        };
        Some(Codes { make, release })
    }

    fn press(self, Key(number): Key) -> Vec<u8> {
        let code = self.code(number & 0x7f);
        match number {
            0x80.. => vec![EXTENDED, code],
            F7 if self == Self::Two => vec![0x83],
            _ if number == SYSTEM_REQUEST.0 && self == Self::Two => vec![0x84],
            _ => vec![code],
        }
    }

    fn release(self, key: Key) -> Vec<u8> {
        let mut bytes = self.press(key);
        if let Some(last) = bytes.last_mut() {
            if self == Self::One {
                *last |= BREAK_BIT;
            } else {
                let at = bytes.len() - 1;
                bytes.insert(at, BREAK);
            }
        }
        bytes
    }

    /// The last byte of a press, for the key that has this code in set 1.
    fn code(self, code: u8) -> u8 {
        if self == Self::One { code } else { SET_2[usize::from(code & 0x7f)] }
    }
}

fn set_3(key: Key) -> Option<u8> {
    match key {
        PRINT | SYSTEM_REQUEST => Some(SET_3_PRINT),
        PAUSE => Some(SET_3_PAUSE),
        _ => match SET_3.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => Some(SET_3[at].1),
            Err(_) => match key.0 {
                1..=KEYPAD_DECIMAL | RO => Some(SET_2[usize::from(key.0)]),
                _ => None,
            },
        },
    }
}

/// A translator from set 2 to set 1, as in the controller.
#[derive(Debug, Default)]
pub(super) struct Translator {
    /// The last byte was the prefix of a release.
    pub(super) is_release: bool,
}

impl Translator {
    /// Translates the next byte. A release's prefix is translated together with the byte after it.
    pub(super) fn next(&mut self, byte: u8) -> Option<u8> {
        if byte == BREAK {
            self.is_release = true;
            return None;
        }
        let code = match byte {
            0x83 => F7,
            0x84 => SYSTEM_REQUEST.0,
            _ => TRANSLATION.get(usize::from(byte)).copied().unwrap_or(byte),
        };
        let release = if std::mem::take(&mut self.is_release) { BREAK_BIT } else { 0 };
        Some(code | release)
    }
}

#[cfg(test)]
#[path = "scancodes_test.rs"]
mod tests;
