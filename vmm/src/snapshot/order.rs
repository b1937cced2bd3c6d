//! The request to save a machine.

use std::path::PathBuf;

use serde::Deserialize;

/// Arguments of `nvmm-snapshot-save`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaveSnapshot {
    /// The directory to create.
    pub(crate) directory: PathBuf,
    /// End the machine after that.
    #[serde(default)]
    pub(crate) stop: bool,
    /// Replace an older snapshot.
    #[serde(skip)]
    pub(crate) replaces: bool,
}
