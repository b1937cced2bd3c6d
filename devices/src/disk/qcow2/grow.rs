//! Making an image larger.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use imago::format::PreallocateMode;
use vm_memory::VolatileSlice;

use super::{
    super::{Disk, guard::facts::Qcow2Facts, link::Details, options::Qcow2Options, raw::Opened},
    Qcow2Disk, Qcow2Error,
    create::{self, CreateError},
    look,
};
use crate::printable::ToPrintable;

/// Reasons why an image can't be made larger.
#[derive(Debug, thiserror::Error)]
pub enum GrowError {
    /// The image can't be opened for writing.
    #[error(transparent)]
    Open(#[from] Qcow2Error),
    /// An impossible size.
    #[error(transparent)]
    Size(#[from] CreateError),
    /// The size is smaller than the image's.
    #[error("disk {} has {from} bytes, and {to} are less", path.printable())]
    Smaller {
        /// The image.
        path: PathBuf,
        /// The size.
        from: u64,
        /// The size that was asked for.
        to: u64,
    },
    /// A snapshot in version 2 has no size of its own, but takes that of the image.
    #[error(
        "disk {path} has snapshots, which in version 2 don't record their size; \
         make it version 3 first: qemu-img amend -o compat=1.1 {path}",
        path = .0.printable()
    )]
    Snapshots(PathBuf),
    /// Data of the backing file would become visible, and version 2 can't mark it as zeros.
    #[error(
        "disk {path} is less than the one below, whose end would show; \
         make it version 3 first: qemu-img amend -o compat=1.1 {path}",
        path = .0.printable()
    )]
    Hidden(PathBuf),
    /// The host failed.
    #[error("disk {} can't be written", path.printable())]
    Write {
        /// The image.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
}

/// Makes the image at `path` `size` bytes long. New bytes are zeros, whatever its backing file contains. It is on stable storage when this
/// returns.
///
/// # Errors
///
/// The image can't be opened for writing, by [`Qcow2Disk::open`]; the size is impossible, or smaller than the image's; the host failed. Then its
/// size is the old one, or between the old and the new one.
pub fn grow(path: &Path, size: u64, backing_root: Option<&Path>) -> Result<(), GrowError> {
    let options =
        Qcow2Options { backing_root: backing_root.map(Path::to_path_buf), ..Qcow2Options::default() };
    let disk = Qcow2Disk::open(path, &options)?;
    let (facts, below) = below(path, backing_root)?;
    let from = disk.size();
    if size < from {
        return Err(GrowError::Smaller { path: path.to_owned(), from, to: size });
    }
    if facts.version == 2 && facts.snapshots > 0 {
        return Err(GrowError::Snapshots(path.to_owned()));
    }
    let cluster_size = facts.cluster_size.and_then(|size| u32::try_from(size).ok()).unwrap_or(1);
    create::check_size(size, cluster_size)?;

    // Anything may be after the old end: the rest of its cluster, and hidden data of the backing file.
    let tail = from.next_multiple_of(cluster_size.into()).min(size);
    let grow = |to, mode| disk.alone(|image| image.resize_grow(to, mode));
    let grown = match facts.version {
        // It can't mark clusters as zeros.
        2 if below > from => return Err(GrowError::Hidden(path.to_owned())),
        2 => grow(size, PreallocateMode::None).and_then(|()| write_zeros(&disk, from..tail)),
        _ => grow(tail.max(below).min(size), PreallocateMode::Zero)
            // Otherwise, space that the first step takes and the second gives back would never be recorded as free.
            .and_then(|()| disk.flush())
            .and_then(|()| grow(size, PreallocateMode::None)),
    };
    grown.and_then(|()| disk.flush()).map_err(|source| GrowError::Write { path: path.to_owned(), source })
}

/// Writes zeros, at most one cluster of them.
fn write_zeros(disk: &Qcow2Disk, range: Range<u64>) -> io::Result<()> {
    let mut zeros = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
    disk.write_at(&[VolatileSlice::from(&mut zeros[..])], range.start)
}

/// The header of the image at `path`, and the size of its backing file.
fn below(path: &Path, root: Option<&Path>) -> Result<(Qcow2Facts, u64), GrowError> {
    let opened = Opened::look(path).map_err(Qcow2Error::from)?;
    let (links, wrong) = look::look(path, &opened, root);
    wrong.map_or(Ok(()), Err)?;
    let mut links = links.into_iter();
    match links.next().map(|link| link.details) {
        Some(Details::Qcow2(Some(facts))) => {
            Ok((facts, links.next().and_then(|link| link.size).unwrap_or(0)))
        }
        // Never here: the image has opened, so it has a header.
        _ => Ok((Qcow2Facts::default(), 0)),
    }
}

#[cfg(test)]
#[path = "grow_test.rs"]
mod tests;
