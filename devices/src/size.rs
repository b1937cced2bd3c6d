//! Numbers of bytes as people read them.

use std::fmt;

/// The units, each 1024 times the one before; the first is 1024 bytes.
pub const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes in the largest unit of which it is a whole number: `10 GiB`, `1536 KiB`, `1 byte`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact(pub u64);

/// A number of bytes, rounded to a tenth of the largest unit that fits into it: `10 GiB`, `1.5 KiB`, `1 byte`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounded(pub u64);

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = (1..).map(|power| 10 * power).zip(UNITS);
        match units.take_while(|(shift, _)| self.0 != 0 && self.0.trailing_zeros() >= *shift).last() {
            Some((shift, unit)) => write!(f, "{} {unit}", self.0 >> shift),
            None => bytes(self.0, f),
        }
    }
}

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = |shift: u32| (u128::from(self.0) * 10 + (1 << (shift - 1))) >> shift;
        // What is rounded up to 1024 becomes 1 of the next unit.
        let units = (1..).map(|power| 10 * power).zip(UNITS);
        let fits = units.map(|(shift, unit)| (tenths(shift), unit)).find(|(tenths, _)| *tenths < 10 * 1024);
        match fits.filter(|_| self.0 >= 1024) {
            Some((tenths, unit)) if tenths % 10 == 0 => write!(f, "{} {unit}", tenths / 10),
            Some((tenths, unit)) => write!(f, "{}.{} {unit}", tenths / 10, tenths % 10),
            None => bytes(self.0, f),
        }
    }
}

fn bytes(bytes: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{bytes} byte{}", if bytes == 1 { "" } else { "s" })
}

#[cfg(test)]
#[path = "size_test.rs"]
mod tests;
