//! The order to save a machine.

use std::path::PathBuf;

use serde::Deserialize;

/// Arguments of `nvmm-snapshot-save`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaveSnapshot {
    /// The directory to make.
    pub(crate) directory: PathBuf,
    /// The machine ends then.
    #[serde(default)]
    pub(crate) stop: bool,
    /// An older snapshot gives way.
    #[serde(skip)]
    pub(crate) replaces: bool,
}
