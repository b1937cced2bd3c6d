//! Names of files in descriptors.

use std::fmt::{self, Debug, Display, Formatter};

use encoding_rs::Encoding;

use crate::printable::Untrusted;

/// A file's name as in a descriptor: bytes in the descriptor's `encoding`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Name {
    bytes: Untrusted,
    /// The name converted to UTF-8, if that differs.
    decoded: Option<Untrusted>,
}

impl Name {
    /// The name made of `bytes` in `encoding`, if the encoding is known.
    pub(super) fn new(bytes: &[u8], encoding: Option<&'static Encoding>) -> Self {
        let decoded = encoding.and_then(|it| it.decode_without_bom_handling_and_without_replacement(bytes));
        let decoded = decoded.filter(|text| text.as_bytes() != bytes);
        Self { bytes: bytes.into(), decoded: decoded.map(|text| text.into_owned().into()) }
    }

    /// The names to try, in this order: byte for byte, as QEMU does; and in UTF-8, as copies from other systems mostly are.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &Untrusted> {
        [Some(&self.bytes), self.decoded.as_ref()].into_iter().flatten()
    }

    /// The most readable form of the name.
    pub(super) fn text(&self) -> &Untrusted {
        self.decoded.as_ref().unwrap_or(&self.bytes)
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self.text(), f)
    }
}

impl Debug for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(self.text(), f)
    }
}

#[cfg(test)]
impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes(), None)
    }
}

/// The encoding that a descriptor names: `windows-1252`, `UTF-8`, `GBK`, `Shift_JIS` ...
pub(super) fn encoding(name: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label(name)
}

#[cfg(test)]
#[path = "name_test.rs"]
mod tests;
