//! Reasons why an image can't be used.

use std::{io, path::PathBuf};

use super::super::{probe::Looks, qcow2::Qcow2Error, raw::DiskError, vmdk::VmdkError};
use crate::printable::ToPrintable;

/// Reasons why an image can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The image's file can't be used.
    #[error(transparent)]
    File(#[from] DiskError),
    /// The qcow2 image is faulty.
    #[error(transparent)]
    Qcow2(#[from] Qcow2Error),
    /// The image can't be read.
    #[error("disk {} can't be read", path.printable())]
    Read {
        /// The image.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// The vmdk image is faulty.
    #[error(transparent)]
    Vmdk(#[from] VmdkError),
    /// qemu-img would take the image for a format that nvmm doesn't read.
    #[error("disk {} {}", path.printable(), looks.way_out(path))]
    Foreign {
        /// The image.
        path: PathBuf,
        /// The format that it looks like.
        looks: Looks,
    },
}
