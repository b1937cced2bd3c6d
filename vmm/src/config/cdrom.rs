//! `--cdrom`.

use std::{ffi::OsStr, path::PathBuf};

use devices::disk::{
    image::OpenOptions,
    info::{self, LinkInfo},
};

use super::error::ConfigError;

const OPTION: &str = "--cdrom";

/// The options of a CD-ROM drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdromConfig {
    /// The image in it at the start.
    pub medium: Option<PathBuf>,
}

impl CdromConfig {
    /// The drive's name in messages and on the control socket.
    pub const NAME: &str = "cdrom";

    /// Parses a `--cdrom`. A file named `none` can be given as `./none`.
    ///
    /// # Errors
    ///
    /// The value is empty.
    pub(super) fn parse(given: &OsStr) -> Result<Self, ConfigError> {
        if given.is_empty() {
            let why = "give the image that is in the drive, or none for an empty one".to_owned();
            return Err(ConfigError::Keys { option: OPTION, given: String::new(), why });
        }
        Ok(Self { medium: (given != "none").then(|| given.into()) })
    }

    /// Reads the facts of the medium and the files that it names, as far as possible.
    pub(super) fn follow(&self) -> Vec<LinkInfo> {
        let look = |path: &PathBuf| info::follow(path, &OpenOptions::default()).ok();
        self.medium.as_ref().and_then(look).map(|info| info.links).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "cdrom_test.rs"]
mod tests;
