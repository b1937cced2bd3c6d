//! Names in headers: a path, or one of QEMU's other ways to name a file.

use std::str;

use serde_json::{Map, Value};

use super::super::guard::Backing;
use crate::printable::Untrusted;

/// The beginning of the other form of a backing file's name: an object of options as in `-blockdev`.
const JSON: &[u8] = b"json:";

/// Reasons why a name is not that of a local file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAFile {
    /// `nbd://...`, `host_device:...`
    #[error("is no local file")]
    Protocol,
    /// A directory, a device.
    #[error("is no local file, but a folder or a device")]
    Kind,
    /// `json:` without a JSON object.
    #[error("is no local file, and no JSON object")]
    Json,
    /// An object with other members than those that name a file.
    #[error("is no local file alone: {0} in its JSON")]
    Member(Untrusted),
}

impl Backing {
    /// The recorded format. Without one, that of a `json:` name counts, as in QEMU.
    pub(super) fn format(&self) -> Option<Untrusted> {
        let in_name = || Some(Blockdev::parse(self.name.as_bytes().strip_prefix(JSON)?).ok()?.driver?.into());
        self.format.clone().or_else(in_name)
    }
}

/// The file that `name` means to QEMU, unless it is on a network or more than a file.
pub(super) fn file_name(name: &Untrusted) -> Result<Untrusted, NotAFile> {
    let bytes = name.as_bytes();
    if let Some(json) = bytes.strip_prefix(JSON) {
        return Ok(Blockdev::parse(json)?.file_name.into());
    }
    let bytes = bytes.strip_prefix(b"file:").unwrap_or(bytes);
    // A colon before any slash ends the name of a protocol.
    match bytes.iter().find(|byte| matches!(byte, b':' | b'/')) {
        Some(b':') => Err(NotAFile::Protocol),
        _ => Ok(bytes.into()),
    }
}

/// A `json:` name of a local file.
struct Blockdev {
    /// The format's driver.
    driver: Option<String>,
    file_name: String,
}

impl Blockdev {
    /// Parses an object whose members are nested or, as QEMU also writes them, flat: `file.filename`.
    fn parse(json: &[u8]) -> Result<Self, NotAFile> {
        let Ok(Value::Object(object)) = serde_json::from_slice(json) else {
            return Err(NotAFile::Json);
        };
        let mut found = (None, None);
        Self::take(object, "", &mut found)?;
        let (driver, file_name) = found;
        let file_name = file_name.ok_or_else(|| NotAFile::Member("no file.filename".into()))?;
        Ok(Self { driver, file_name })
    }

    /// Takes the known members from `object`, and refuses unknown ones, which could mean another file, or a part of one.
    fn take(
        object: Map<String, Value>,
        prefix: &str,
        found: &mut (Option<String>, Option<String>),
    ) -> Result<(), NotAFile> {
        for (key, value) in object {
            let key = format!("{prefix}{key}");
            match (key.as_str(), value) {
                ("driver", Value::String(driver)) => found.0 = Some(driver),
                ("file", Value::Object(file)) => Self::take(file, "file.", found)?,
                ("file.driver", Value::String(driver)) if driver == "file" => {}
                ("file.filename", Value::String(name)) => found.1 = Some(name),
                _ => return Err(NotAFile::Member(key.into())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "name_test.rs"]
mod tests;
