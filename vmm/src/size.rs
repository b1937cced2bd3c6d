//! Memory sizes, and numbers of bytes in human-readable form.

use std::{fmt, str::FromStr};

use devices::size::{Exact, UNITS};
use serde::{Deserialize, Deserializer, de};

/// A memory size in bytes. In text, a number without a unit is in MiB, as in QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A text that isn't a [`Size`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no amount of memory: {1}")]
pub struct SizeError(String, ParseError);

/// The reason why a text isn't a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text isn't a number with a unit.
    #[error("give a number with K, M, G or T, such as 2G or 512M")]
    NotOne,
    /// The text exceeds the maximum.
    #[error("that is too much; the most is 8E - 512")]
    TooMuch,
}

/// The maximum: the size of the largest file of whole sectors.
pub(crate) const MOST: u64 = (1 << 63) - 512;

/// Parses a number of bytes: a number, and a unit that is a power of 1024, as in `2G`, `2g`, `2GB` or `2GiB`. `512B` is in bytes. A number
/// without a unit is in units of `unitless` bytes.
pub(crate) fn parse(text: &str, unitless: u64) -> Result<u64, ParseError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let mut letters = unit.chars();
    let letter = letters.next().map(|letter| letter.to_ascii_uppercase());
    let unit = match (letter, letters.as_str()) {
        _ if number.is_empty() => return Err(ParseError::NotOne),
        (None, _) => unitless,
        (Some('B'), "") => 1,
        (Some(letter), "" | "B" | "iB") => {
            let found = UNITS.iter().zip(1..).find(|(unit, _)| unit.starts_with(letter));
            let (_, power) = found.ok_or(ParseError::NotOne)?;
            1 << (10 * power)
        }
        _ => return Err(ParseError::NotOne),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.filter(|&bytes| bytes <= MOST).ok_or(ParseError::TooMuch)
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        parse(text, 1 << 20).map(Self).map_err(|error| SizeError(text.to_owned(), error))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Exact(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[path = "size_test.rs"]
mod tests;
