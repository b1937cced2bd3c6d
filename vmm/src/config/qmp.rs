//! `--qmp`.

use std::{ffi::OsStr, path::PathBuf};

use devices::printable::ToPrintable;

use super::{error::ConfigError, words};

const OPTION: &str = "--qmp";

/// The control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QmpConfig {
    /// The path of the unix socket.
    pub path: PathBuf,
}

impl QmpConfig {
    /// Parses a `--qmp`: a path, or QEMU's form of the same.
    ///
    /// # Errors
    ///
    /// The value is invalid, or asks for something that nvmm does not do.
    pub(super) fn parse(given: &OsStr) -> Result<Self, ConfigError> {
        parse(&words::encode(given)).map(|path| Self { path }).map_err(|why| ConfigError::Keys {
            option: OPTION,
            given: given.printable().to_string(),
            why,
        })
    }
}

fn parse(text: &str) -> Result<PathBuf, String> {
    let mut parts = text.split(',');
    let place = parts.next().unwrap_or_default();
    let (path, is_qemus) = match place.split_once([':', '=']) {
        Some(("unix", path)) => (path, true),
        Some((kind @ ("tcp" | "telnet" | "vc" | "chardev" | "file" | "pipe" | "fd"), _)) => {
            return Err(format!("{kind}: can't be had; give the path of a unix socket, which nvmm makes"));
        }
        _ => (place, false),
    };
    if path.is_empty() || ["stdio", "none", "null", "pty"].contains(&path) && !is_qemus {
        return Err("give the path of a unix socket, which nvmm makes".to_owned());
    }
    let (mut serves, mut waits) = (!is_qemus, is_qemus);
    for part in parts {
        match part {
            "server" | "server=on" => serves = true,
            "nowait" | "wait=off" => waits = false,
            "wait" | "wait=on" => waits = true,
            "mode=control" => {}
            other => {
                let other = words::decode(other);
                return Err(format!(
                    "'{}' means nothing here; give server=on,wait=off or nothing; a comma in a path is written twice",
                    other.printable()
                ));
            }
        }
    }
    match (serves, waits) {
        (false, _) => Err("nvmm listens there, and connects to nobody; add server=on,wait=off".to_owned()),
        (true, true) => Err("the machine waits for no client; add wait=off".to_owned()),
        (true, false) => Ok(words::decode(path).into()),
    }
}

#[cfg(test)]
#[path = "qmp_test.rs"]
mod tests;
