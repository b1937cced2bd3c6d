//! Numbers of seconds, in several options.

use std::{
    num::{IntErrorKind, ParseIntError},
    str::FromStr,
};

/// Parses a number of seconds.
pub(crate) fn seconds<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::Zero => "give at least 1",
            IntErrorKind::PosOverflow => "that is too long; give seconds, such as 60",
            _ => "give seconds, such as 60",
        };
        why.to_owned()
    })
}
