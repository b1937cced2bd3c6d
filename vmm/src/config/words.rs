//! Values of options that may contain any bytes, for parsers that take text.
//!
//! A path need not be UTF-8, and may contain commas, which are doubled (`,,`) as in QEMU. Such bytes are parsed as characters at the end of
//! Unicode's private use area, and become bytes again in values that are names.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    str::FromStr,
};

/// The character that represents byte 0.
const FIRST: u32 = 0x10_ff00;

/// Encodes a given value as text for parsers.
pub(crate) fn encode(given: &OsStr) -> String {
    let mut text = String::new();
    for chunk in given.as_bytes().utf8_chunks() {
        let mut chars = chunk.valid().chars().peekable();
        while let Some(c) = chars.next() {
            if c == ',' && chars.next_if_eq(&',').is_some() {
                text.extend(stand_in(b','));
            } else if u32::from(c) >= FIRST {
                text.extend(c.encode_utf8(&mut [0; 4]).bytes().filter_map(stand_in));
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().copied().filter_map(stand_in));
    }
    text
}

/// Decodes a part of the text that [`encode`] made.
pub(crate) fn decode(text: &str) -> OsString {
    let mut bytes = Vec::new();
    for c in text.chars() {
        match u32::from(c).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    OsString::from_vec(bytes)
}

/// Encodes a value as a whole, in which commas separate nothing.
pub(crate) fn whole(given: &OsStr) -> String {
    let doubled: Vec<_> =
        given.as_bytes().iter().flat_map(|&byte| vec![byte; 1 + usize::from(byte == b',')]).collect();
    encode(OsStr::from_bytes(&doubled))
}

/// Writes text as a part of an option, in which commas that separate nothing are doubled: [`encode`] turns it into `text` again.
pub(crate) fn escaped(text: &str) -> OsString {
    let comma = stand_in(b',');
    let mut bytes = Vec::new();
    for c in text.chars() {
        let doubled = if Some(c) == comma { 2 } else { 1 };
        let decoded = decode(c.encode_utf8(&mut [0; 4]));
        (0..doubled).for_each(|_| bytes.extend(decoded.as_bytes()));
    }
    OsString::from_vec(bytes)
}

/// Parses a text of digits, without a sign, as a `T`.
pub(crate) fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn stand_in(byte: u8) -> Option<char> {
    char::from_u32(FIRST + u32::from(byte))
}

#[cfg(test)]
#[path = "words_test.rs"]
mod tests;
