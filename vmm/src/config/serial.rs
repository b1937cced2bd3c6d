//! `--serial`.

use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt, path::PathBuf};

use devices::printable::ToPrintable;

use super::error::ConfigError;

/// `--serial`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SerialConfig {
    /// The terminal, or whatever stdin and stdout are.
    Stdio,
    /// Nowhere.
    Null,
    /// A file, made or emptied.
    File(PathBuf),
}

/// As it was given.
impl fmt::Display for SerialConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdio => f.write_str("stdio"),
            Self::Null => f.write_str("null"),
            Self::File(path) => write!(f, "file={}", path.printable()),
        }
    }
}

/// Gives `--serial` a meaning.
pub(super) fn serial(given: &OsStr) -> Result<SerialConfig, ConfigError> {
    match given.as_bytes() {
        b"stdio" => Ok(SerialConfig::Stdio),
        b"null" => Ok(SerialConfig::Null),
        bytes => match bytes.strip_prefix(b"file=").filter(|path| !path.is_empty()) {
            Some(path) => Ok(SerialConfig::File(OsStr::from_bytes(path).into())),
            None => Err(ConfigError::Serial(given.printable().to_string())),
        },
    }
}
