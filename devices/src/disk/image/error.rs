//! Why an image can't be used.

use std::{io, path::PathBuf};

use super::super::{probe::Looks, qcow2::Qcow2Error, raw::DiskError, vmdk::VmdkError};
use crate::printable::ToPrintable;

/// Why an image can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its file can't be.
    #[error(transparent)]
    File(#[from] DiskError),
    /// It is no good qcow2 image.
    #[error(transparent)]
    Qcow2(#[from] Qcow2Error),
    /// It can't be read.
    #[error("disk {} can't be read", path.printable())]
    Read {
        /// The image.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// It is no good vmdk image.
    #[error(transparent)]
    Vmdk(#[from] VmdkError),
    /// qemu-img would take it for a format that nvmm doesn't read.
    #[error("disk {} {}", path.printable(), looks.way_out(path))]
    Foreign {
        /// The image.
        path: PathBuf,
        /// The format that it looks like.
        looks: Looks,
    },
}
