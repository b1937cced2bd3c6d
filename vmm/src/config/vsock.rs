//! `--vsock`.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use devices::{printable::ToPrintable, virtio::vsock::Host};

use super::{error::ConfigError, keys::Keys, words};

const OPTION: &str = "--vsock";
const KEYS: &str = "give cid=N, or cid=N,uds=PATH";
/// The first and last addresses for guests: `VMADDR_CID_HOST` and those below are reserved, and so is `VMADDR_CID_ANY`.
const FIRST_CID: u32 = 3;
const LAST_CID: u32 = u32::MAX - 1;

/// A socket device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VsockConfig {
    /// The guest's address.
    pub cid: u32,
    /// The path of the unix socket that programs of the host connect to; none if the kernel serves the device.
    pub path: Option<PathBuf>,
}

impl VsockConfig {
    /// Parses a `--vsock`.
    ///
    /// # Errors
    ///
    /// The value is invalid, or asks for something that nvmm does not do.
    pub(super) fn parse(given: &OsStr) -> Result<Self, ConfigError> {
        parse(&words::encode(given)).map_err(|why| ConfigError::Keys {
            option: OPTION,
            given: given.printable().to_string(),
            why,
        })
    }
}

fn parse(text: &str) -> Result<VsockConfig, String> {
    let mut keys = Keys::of(text.split(','))?;
    let qemus = keys.value("guest-cid", "N")?;
    let cid = match (keys.value("cid", "N")?, qemus) {
        (Some(_), Some(_)) => {
            return Err("'cid' and 'guest-cid' are the same; leave one of them out".to_owned());
        }
        (cid, qemus) => cid.or(qemus),
    };
    let path = keys.value("uds", "PATH")?;
    keys.end(&format!("{}; a comma in a path is written twice", KEYS.trim_start_matches("give ")))?;
    let cid = cid.ok_or_else(|| format!("the guest's address is missing; {KEYS}"))?;
    let number = words::number(cid).filter(|cid| (FIRST_CID..=LAST_CID).contains(cid));
    let cid = number.ok_or_else(|| {
        format!("cid={}: give a number from {FIRST_CID} to {LAST_CID}", words::decode(cid).printable())
    })?;
    let path = match path {
        Some("") => return Err("the path is missing; give uds=PATH".to_owned()),
        path => path.map(|path| PathBuf::from(words::decode(path))),
    };
    path.as_deref().map_or(Ok(()), check)?;
    Ok(VsockConfig { cid, path })
}

fn check(path: &Path) -> Result<(), String> {
    Host::check(path).map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "vsock_test.rs"]
mod tests;
