//! The place of [`domain`](self) in an nvmm without the feature `libvirt`.

use std::{ffi::OsString, path::Path};

use clap::Command;
use devices::printable::ToPrintable;

use super::qemu::Told;
use crate::libvirt::XmlError;

/// A command line with the options of a file.
#[derive(Debug)]
pub(super) struct Added {
    /// All words.
    pub words: Vec<OsString>,
    /// The notes for the user about them.
    pub told: Told,
    /// The text of the file.
    pub text: String,
}

/// Adds nothing.
///
/// # Errors
///
/// Always.
pub(super) fn add(
    path: &Path,
    _words: &[OsString],
    _machine: &Command,
    _told: Told,
) -> Result<Added, Vec<String>> {
    Err(vec![format!("--domain {}: {XmlError}", path.printable())])
}
