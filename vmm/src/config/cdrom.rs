//! `--cdrom`.

use std::{ffi::OsStr, path::PathBuf};

use devices::disk::{
    image::OpenOptions,
    info::{self, LinkInfo},
};

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

    /// Looks at the medium and what it names, as far as that can be seen.
    pub(super) fn follow(&self) -> Vec<LinkInfo> {
        let look = |path: &PathBuf| info::follow(path, &OpenOptions::default()).ok();
        self.medium.as_ref().and_then(look).map(|info| info.links).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "cdrom_test.rs"]
mod tests;
