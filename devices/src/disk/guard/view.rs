//! A header as imago has to see it, where that differs from the file.
//!
//! imago opens no image that is marked as dirty or corrupt, and none with a name that is not UTF-8. Reading the first and using the second
//! is safe, so imago gets other bytes in their places. The file is not changed.

use std::mem::offset_of;

use super::fields::{Fields, MoreFields, V2_LEN};
use crate::printable::Untrusted;

/// Bytes that are read in place of those in the file, each with its offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct View(Vec<(u64, Vec<u8>)>);

impl View {
    /// Returns whether nothing is replaced.
    pub(in super::super) fn is_plain(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether anything at `offset` or behind it is replaced.
    pub(in super::super) fn covers(&self, offset: u64) -> bool {
        self.0.iter().any(|(at, bytes)| offset < at + bytes.len() as u64)
    }

    /// The replacements in a read from `start` to `end`: their offsets in what was read, and their bytes.
    pub(in super::super) fn within(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &[u8])> {
        self.0.iter().filter_map(move |(at, bytes)| {
            let (from, to) = (start.max(*at), end.min(at + bytes.len() as u64));
            let part = usize::try_from(from - at).ok()?..usize::try_from(to.checked_sub(*at)?).ok()?;
            Some((from - start, bytes.get(part).filter(|part| !part.is_empty())?))
        })
    }

    pub(super) fn size(&mut self, size: u64) {
        self.0.push((offset_of!(Fields, size) as u64, size.to_be_bytes().to_vec()));
    }

    pub(super) fn incompatible_features(&mut self, features: u64) {
        let at = V2_LEN + offset_of!(MoreFields, incompatible_features);
        self.0.push((at as u64, features.to_be_bytes().to_vec()));
    }

    /// Replaces the bytes of a name at `at` that are not ASCII, unless the name is UTF-8.
    pub(super) fn name(&mut self, at: u64, name: &Untrusted) {
        if name.as_str().is_none() {
            let shown = |byte: &u8| if byte.is_ascii() { *byte } else { b'_' };
            self.0.push((at, name.as_bytes().iter().map(shown).collect()));
        }
    }
}

#[cfg(test)]
#[path = "view_test.rs"]
mod tests;
