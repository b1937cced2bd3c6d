//! `nvmm disk resize`.

use std::{
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use devices::disk::{
    SECTOR_SIZE,
    format::Format,
    image::{self, OpenError, OpenOptions},
    info::{LinkInfo, follow},
    qcow2::grow::{GrowError, grow},
};
use devices::printable::ToPrintable;

use super::amount::Amount;
use crate::size::ParseError;

/// The new size, absolute or relative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// `10G`.
    To(Amount),
    /// `+10G`.
    By(Amount),
}

/// Reasons why an image can't be enlarged.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResizeError {
    /// The image can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The qcow2 image can't be enlarged.
    #[error(transparent)]
    Qcow2(#[from] GrowError),
    /// The image is a vmdk.
    #[error("{} is a vmdk, which nvmm only reads; nvmm disk convert makes an image that can be resized", .0.printable())]
    Vmdk(PathBuf),
    /// The image is a device.
    #[error("{} is a device; only files can be resized", .0.printable())]
    Device(PathBuf),
    /// The size is smaller than before.
    #[error(
        "{} has {from} bytes, and {to} would cut off its end, which nvmm does not do; qemu-img resize --shrink does",
        path.printable()
    )]
    Smaller {
        /// The image.
        path: PathBuf,
        /// The size.
        from: u64,
        /// The size that was asked for.
        to: u64,
    },
    /// The size is not a whole number of sectors, or too large.
    #[error("a disk can't have {0} bytes; give it a multiple of 512")]
    Size(u128),
    /// The host failed.
    #[error("{} can't have {}", path.printable(), Amount(*size))]
    Host {
        /// The image.
        path: PathBuf,
        /// The size that was asked for.
        size: u64,
        /// The host's error.
        source: io::Error,
    },
}

impl FromStr for Growth {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.strip_prefix('+') {
            Some(more) => more.parse().map(Self::By),
            None => text.parse().map(Self::To),
        }
    }
}

impl Growth {
    /// The new size of an image of `from` bytes.
    fn from(self, from: u64) -> Result<u64, ResizeError> {
        let to = match self {
            Self::To(Amount(to)) => u128::from(to),
            Self::By(Amount(more)) => u128::from(from) + u128::from(more),
        };
        let size = u64::try_from(to).ok().filter(|size| size.is_multiple_of(SECTOR_SIZE));
        size.filter(|&size| i64::try_from(size).is_ok()).ok_or(ResizeError::Size(to))
    }
}

/// Enlarges the image at `path`.
pub(super) fn resize(
    path: &Path,
    format: Option<Format>,
    root: Option<&Path>,
    growth: Growth,
) -> Result<(), ResizeError> {
    // Its faults are reported when it is opened for writing.
    let image = follow(path, &OpenOptions { format, ..OpenOptions::default() })?.links.into_iter().next();
    match image.as_ref().map_or(Format::Raw, LinkInfo::format) {
        Format::Raw => resize_raw(path, growth),
        Format::Qcow2 => {
            let from = image.and_then(|image| image.size).unwrap_or(0);
            let to = growth.from(from)?;
            check(path, from, to)?;
            Ok(grow(path, to, root)?)
        }
        Format::Vmdk => Err(ResizeError::Vmdk(path.to_owned())),
    }
}

fn resize_raw(path: &Path, growth: Growth) -> Result<(), ResizeError> {
    let options = OpenOptions { format: Some(Format::Raw), ..OpenOptions::default() };
    let disk = image::open(path, &options)?.disk;
    if fs::metadata(path).is_ok_and(|it| it.file_type().is_block_device()) {
        return Err(ResizeError::Device(path.to_owned()));
    }
    let (from, to) = (disk.size(), growth.from(disk.size())?);
    check(path, from, to)?;
    let failed = |source| ResizeError::Host { path: path.to_owned(), size: to, source };
    for file in disk.files() {
        file.set_len(to).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    Ok(())
}

fn check(path: &Path, from: u64, to: u64) -> Result<(), ResizeError> {
    let path = path.to_owned();
    if to < from { Err(ResizeError::Smaller { path, from, to }) } else { Ok(()) }
}

#[cfg(test)]
#[path = "resize_test.rs"]
mod tests;
