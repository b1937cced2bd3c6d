//! The names of keys: QEMU's `QKeyCode`, with QEMU's numbers.

use arch::suggest::{nearest, suggestion};
use devices::input::Key;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The prefix of a number in QEMU's monitor.
const HEX: &str = "0x";
/// The monitor's second name for the key between the left Shift and Z.
const LESS: &str = "<";

/// The names in order, each with its key's number.
#[rustfmt::skip]
const NAMES: [(&str, u8); 159] = [
    ("0", 0x0b),
    ("1", 0x02),
    ("2", 0x03),
    ("3", 0x04),
    ("4", 0x05),
    ("5", 0x06),
    ("6", 0x07),
    ("7", 0x08),
    ("8", 0x09),
    ("9", 0x0a),
    ("a", 0x1e),
    ("ac_back", 0xea),
    ("ac_bookmarks", 0xe6),
    ("ac_forward", 0xe9),
    ("ac_home", 0xb2),
    ("ac_refresh", 0xe7),
    ("again", 0x85),
    ("alt", 0x38),
    ("alt_r", 0xb8),
    ("apostrophe", 0x28),
    ("asterisk", 0x37),
    ("audiomute", 0xa0),
    ("audionext", 0x99),
    ("audioplay", 0xa2),
    ("audioprev", 0x90),
    ("audiostop", 0xa4),
    ("b", 0x30),
    ("backslash", 0x2b),
    ("backspace", 0x0e),
    ("bracket_left", 0x1a),
    ("bracket_right", 0x1b),
    ("c", 0x2e),
    ("calculator", 0xa1),
    ("caps_lock", 0x3a),
    ("comma", 0x33),
    ("compose", 0xdd),
    ("computer", 0xeb),
    ("copy", 0xf8),
    ("ctrl", 0x1d),
    ("ctrl_r", 0x9d),
    ("cut", 0xbc),
    ("d", 0x20),
    ("delete", 0xd3),
    ("dot", 0x34),
    ("down", 0xd0),
    ("e", 0x12),
    ("end", 0xcf),
    ("equal", 0x0d),
    ("esc", 0x01),
    ("f", 0x21),
    ("f1", 0x3b),
    ("f10", 0x44),
    ("f11", 0x57),
    ("f12", 0x58),
    ("f13", 0x5d),
    ("f14", 0x5e),
    ("f15", 0x5f),
    ("f16", 0x55),
    ("f17", 0x83),
    ("f18", 0xf7),
    ("f19", 0x84),
    ("f2", 0x3c),
    ("f20", 0x5a),
    ("f21", 0x74),
    ("f22", 0xf9),
    ("f23", 0x6d),
    ("f24", 0x6f),
    ("f3", 0x3d),
    ("f4", 0x3e),
    ("f5", 0x3f),
    ("f6", 0x40),
    ("f7", 0x41),
    ("f8", 0x42),
    ("f9", 0x43),
    ("find", 0xc1),
    ("front", 0x8c),
    ("g", 0x22),
    ("grave_accent", 0x29),
    ("h", 0x23),
    ("help", 0xf5),
    ("henkan", 0x79),
    ("hiragana", 0x77),
    ("home", 0xc7),
    ("i", 0x17),
    ("insert", 0xd2),
    ("j", 0x24),
    ("k", 0x25),
    ("katakanahiragana", 0x70),
    ("kp_0", 0x52),
    ("kp_1", 0x4f),
    ("kp_2", 0x50),
    ("kp_3", 0x51),
    ("kp_4", 0x4b),
    ("kp_5", 0x4c),
    ("kp_6", 0x4d),
    ("kp_7", 0x47),
    ("kp_8", 0x48),
    ("kp_9", 0x49),
    ("kp_add", 0x4e),
    ("kp_comma", 0x7e),
    ("kp_decimal", 0x53),
    ("kp_divide", 0xb5),
    ("kp_enter", 0x9c),
    ("kp_equals", 0x59),
    ("kp_multiply", 0x37),
    ("kp_subtract", 0x4a),
    ("l", 0x26),
    ("left", 0xcb),
    ("less", 0x56),
    ("lf", 0x5b),
    ("m", 0x32),
    ("mail", 0xec),
    ("mediaselect", 0xed),
    ("menu", 0x9e),
    ("meta_l", 0xdb),
    ("meta_r", 0xdc),
    ("minus", 0x0c),
    ("muhenkan", 0x7b),
    ("n", 0x31),
    ("num_lock", 0x45),
    ("o", 0x18),
    ("open", 0x64),
    ("p", 0x19),
    ("paste", 0x65),
    ("pause", 0xc6),
    ("pgdn", 0xd1),
    ("pgup", 0xc9),
    ("power", 0xde),
    ("print", 0x54),
    ("props", 0x86),
    ("q", 0x10),
    ("r", 0x13),
    ("ret", 0x1c),
    ("right", 0xcd),
    ("ro", 0x73),
    ("s", 0x1f),
    ("scroll_lock", 0x46),
    ("semicolon", 0x27),
    ("shift", 0x2a),
    ("shift_r", 0x36),
    ("slash", 0x35),
    ("sleep", 0xdf),
    ("spc", 0x39),
    ("stop", 0xe8),
    ("sysrq", 0x54),
    ("t", 0x14),
    ("tab", 0x0f),
    ("u", 0x16),
    ("undo", 0x87),
    ("up", 0xc8),
    ("v", 0x2f),
    ("volumedown", 0xae),
    ("volumeup", 0xb0),
    ("w", 0x11),
    ("wake", 0xe3),
    ("x", 0x2d),
    ("y", 0x15),
    ("yen", 0x7d),
    ("z", 0x2c),
];

/// QEMU's `KeyValue`: a key as a client gives it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum KeyValue {
    /// The name.
    Qcode(String),
    /// The number: its code in set 1, with bit 7 for the prefix E0H.
    Number(u64),
}

/// The reason why there is no such key.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// QEMU has no key of this name.
    #[error(
        "unknown key '{}'{}; keys have QEMU's names, such as a, 1, ret, spc, shift, ctrl, alt, f1, up, kp_0",
        .0.escape_debug(),
        suggestion(&nearest(.0, NAMES.iter().map(|(name, _)| *name)))
    )]
    Name(String),
    /// No keyboard has a key of this number.
    #[error(
        "there is no key {0:#x}: give a code of set 1 from 0x1 to 0x7f, and add 0x80 if it has the prefix e0"
    )]
    Number(u64),
}

impl KeyValue {
    /// The keys of the monitor's `sendkey`, such as `ctrl-alt-f1`.
    pub(crate) fn of_line(line: &str) -> Vec<Self> {
        let key = |word: &str| {
            let number = word.strip_prefix(HEX).and_then(|digits| u64::from_str_radix(digits, 16).ok());
            let name = if word == LESS { "less" } else { word };
            number.map_or_else(|| Self::Qcode(name.to_owned()), Self::Number)
        };
        line.split('-').map(key).collect()
    }

    /// The key of this name or number.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn key(&self) -> Result<Key, KeyError> {
        match self {
            Self::Qcode(name) => match NAMES.binary_search_by_key(&name.as_str(), |(name, _)| name) {
                Ok(at) => Ok(Key(NAMES[at].1)),
                Err(_) => Err(KeyError::Name(name.clone())),
            },
            Self::Number(number) => match u8::try_from(*number) {
                Ok(code) if code & 0x7f != 0 => Ok(Key(code)),
                _ => Err(KeyError::Number(*number)),
            },
        }
    }
}

#[cfg(test)]
#[path = "qcode_test.rs"]
mod tests;
