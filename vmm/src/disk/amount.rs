//! Sizes of disks, in qemu-img's form and for people.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use devices::size::Rounded;

use crate::size::{self, ParseError};

/// A number of bytes. As in qemu-img, but unlike sizes of memory, a number without a unit is in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Amount(pub(super) u64);

impl FromStr for Amount {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        size::parse(text, 1).map(Self)
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
