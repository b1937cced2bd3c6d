//! Bytes of KVM's structures in JSON: as hexadecimal text.

use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A structure of KVM's, whose bytes are its layout in the kernel's interface, which never changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raw<T>(pub(super) T);

impl<T: IntoBytes + Immutable> Serialize for Raw<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(self.0.as_bytes()))
    }
}

impl<'de, T: FromBytes> Deserialize<'de> for Raw<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = bytes(&String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        match T::read_from_bytes(&bytes) {
            Ok(value) => Ok(Self(value)),
            Err(_) => Err(D::Error::custom(format!("it has {} bytes, not {}", bytes.len(), size_of::<T>()))),
        }
    }
}

/// Bytes of a number that is not always the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    match bytes {
        Some(bytes) if rest.is_empty() => Ok(bytes),
        _ => Err("it is no hexadecimal text"),
    }
}

#[cfg(test)]
#[path = "raw_test.rs"]
mod tests;
