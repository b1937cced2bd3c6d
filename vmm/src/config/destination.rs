//! Addresses to which machines move: `--incoming`, and `nvmm ctl migrate`.

use std::ffi::OsStr;

use devices::{chars::Address, printable::ToPrintable};

use super::{error::ConfigError, gdb, words};

/// Parses an address that the user gave to `option`.
///
/// # Errors
///
/// The text is no such address.
pub(crate) fn destination(option: &'static str, given: &OsStr) -> Result<Address, ConfigError> {
    let address = gdb::address(&words::encode(given));
    address.map_err(|why| ConfigError::Keys { option, given: given.printable().to_string(), why })
}
