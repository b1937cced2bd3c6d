//! Bytes as text, two hexadecimal digits each: `#[serde(with = "hex")]` for an array or a vector of them.

use std::fmt::Write;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Serializes bytes.
///
/// # Errors
///
/// The errors of the serializer.
pub fn serialize<S: Serializer>(bytes: &impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    serializer.serialize_str(&text)
}

/// Deserializes bytes.
///
/// # Errors
///
/// The text is not hexadecimal, or has another number of bytes than the array.
pub fn deserialize<'de, D: Deserializer<'de>, B: TryFrom<Vec<u8>>>(deserializer: D) -> Result<B, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?));
    let bytes = bytes.collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty());
    let bytes = bytes.ok_or_else(|| Error::custom("bytes are pairs of hexadecimal digits"))?;
    let len = bytes.len();
    B::try_from(bytes).map_err(|_| Error::custom(format_args!("{len} bytes, which is not the right number")))
}

#[cfg(test)]
#[path = "hex_test.rs"]
mod tests;
