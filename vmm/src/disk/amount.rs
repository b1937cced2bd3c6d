//! Amounts of disk: as qemu-img takes them, and as people read them.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use devices::size::{Rounded, UNITS};

/// A number of bytes. Unlike an amount of memory, a number without a unit is just that, as with qemu-img.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Amount(pub(super) u64);

/// A text that is no [`Amount`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AmountError {
    /// Not a number with a unit.
    #[error("give a number of bytes, or one with K, M, G or T, such as 10G")]
    NotOne,
    /// Nobody has as much.
    #[error("that is too much; the most is 8E - 512")]
    TooMuch,
}

impl Amount {
    /// The largest file of whole sectors.
    const MOST: u64 = (1 << 63) - 512;
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = unit.strip_suffix("iB").unwrap_or(unit);
        let mut letters = unit.chars();
        let shift = match (letters.next().map(|letter| letter.to_ascii_uppercase()), letters.next()) {
            (None, _) | (Some('B'), None) => 0,
            (Some(letter), None) => {
                let place =
                    UNITS.iter().position(|unit| unit.starts_with(letter)).ok_or(AmountError::NotOne)?;
                10 * (place + 1)
            }
            _ => return Err(AmountError::NotOne),
        };
        if number.is_empty() {
            return Err(AmountError::NotOne);
        }
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
        bytes.filter(|&bytes| bytes <= Self::MOST).map(Self).ok_or(AmountError::TooMuch)
    }
}

impl Display for Amount {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Rounded(self.0).fmt(f)
    }
}

#[cfg(test)]
#[path = "amount_test.rs"]
mod tests;
