//! `--cdrom`.

use std::{ffi::OsStr, path::PathBuf};

use super::error::ConfigError;

const OPTION: &str = "--cdrom";

/// A CD-ROM drive as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdromConfig {
    /// The image that is in it at first.
    pub medium: Option<PathBuf>,
}

impl CdromConfig {
    /// The drive's name in messages and on the control socket.
    pub const NAME: &str = "cdrom";

    /// Gives a `--cdrom` a meaning. A file that is really called `none` is `./none`.
    ///
    /// # Errors
    ///
    /// It is empty.
    pub(super) fn parse(given: &OsStr) -> Result<Self, ConfigError> {
        if given.is_empty() {
            let why = "give the image that is in the drive, or none for an empty one".to_owned();
            return Err(ConfigError::Keys { option: OPTION, given: String::new(), why });
        }
        Ok(Self { medium: (given != "none").then(|| given.into()) })
    }
}

#[cfg(test)]
#[path = "cdrom_test.rs"]
mod tests;
