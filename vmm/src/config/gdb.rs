//! `--gdb`.

use std::ffi::OsStr;

use devices::{chars::Address, printable::ToPrintable};

use super::{
    error::ConfigError,
    keys::Keys,
    serial::{path, tcp},
    words,
};

const PLACES: &str = "give tcp:HOST:PORT, such as tcp:127.0.0.1:1234 or tcp::1234, or unix:PATH";

/// Parses `--gdb`, and returns the address to listen at.
///
/// # Errors
///
/// The value is invalid.
pub(super) fn gdb(given: &OsStr) -> Result<Address, ConfigError> {
    let text = words::encode(given);
    let mut parts = text.split(',');
    let place = parts.next().unwrap_or_default();
    let parsed = Keys::of(parts).and_then(|mut keys| {
        let address = address(place)?;
        // QEMU's keys, for what nvmm always does.
        if keys.has("server") && !keys.switch("server")? {
            return Err("server=off can't be had: gdb connects to nvmm".to_owned());
        }
        if keys.switch("wait")? || keys.has("nowait") && !keys.switch("nowait")? {
            return Err("to have the machine wait for gdb, add --paused".to_owned());
        }
        keys.end("server or nowait; a comma in a path is written twice")?;
        Ok(address)
    });
    parsed.map_err(|why| ConfigError::Keys { option: "--gdb", given: given.printable().to_string(), why })
}

/// Parses the address of a socket.
pub(super) fn address(place: &str) -> Result<Address, String> {
    match place.split_once([':', '=']) {
        Some(("tcp", address)) => tcp(address, true),
        Some(("unix", name)) => path(name).map(Address::Unix),
        _ => Err(PLACES.to_owned()),
    }
}

#[cfg(test)]
#[path = "gdb_test.rs"]
mod tests;
