//! An option of QEMU as the user gave it.

use std::{
    ffi::{OsStr, OsString},
    fmt,
};

use devices::printable::ToPrintable;

use super::keys::Keys;
use crate::config::words;

/// The most characters of a value that a message repeats.
const MOST_SHOWN: usize = 160;

/// An option of QEMU as the user gave it.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// The position among the arguments.
    pub at: usize,
    /// The name, without dashes.
    pub name: &'static str,
    /// The value; empty if it takes none.
    pub value: OsString,
}

impl Given {
    /// The value's keys; the first part, if it has no key, is the value of `implied`.
    ///
    /// # Errors
    ///
    /// A key is given twice, or the JSON is not accepted by QEMU.
    pub(super) fn keys(&self, implied: &str) -> Result<Keys, String> {
        Keys::of(&self.value, implied)
    }

    /// The value as text, in which commas are separators: see [`words`].
    pub(super) fn text(&self) -> String {
        words::encode(&self.value)
    }

    /// The whole value as text, such as a path.
    pub(super) fn whole(&self) -> String {
        words::whole(&self.value)
    }

    /// The value's first part, such as the driver of `-device`.
    pub(super) fn first(&self) -> String {
        let text = self.text();
        text.split(',').next().unwrap_or_default().to_owned()
    }
}

/// The option as the user wrote it.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-{}", self.name)?;
        match self.value.is_empty() {
            true => Ok(()),
            false => write!(f, " {}", shortened(&self.value)),
        }
    }
}

/// A value in a message.
fn shortened(value: &OsStr) -> String {
    let mut shown = value.printable().to_string();
    if let Some((at, _)) = shown.char_indices().nth(MOST_SHOWN) {
        shown.truncate(at);
        shown.push_str("...");
    }
    shown
}
