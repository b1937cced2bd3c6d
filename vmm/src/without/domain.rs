//! The replacement of [`domain`](self) in an nvmm without the feature `libvirt`.

use std::{ffi::OsString, path::Path};

use clap::Command;
use devices::printable::ToPrintable;

use super::{added::Added, error::Error, qemu::Told};
use crate::libvirt::XmlError;

/// Always fails.
///
/// # Errors
///
/// Always.
pub(super) fn add(path: &Path, _words: &[OsString], _machine: &Command, _told: Told) -> Result<Added, Error> {
    Err(Error::Wrong(vec![format!("--domain {}: {XmlError}", path.printable())]))
}
