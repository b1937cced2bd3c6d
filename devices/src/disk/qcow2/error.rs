//! The faults of a qcow2 image, and the way out where there is one.

use std::{io, path::PathBuf};

use super::{
    super::{guard::HeaderError, raw::DiskError, vmdk::VmdkError},
    create::CreateError,
    name::NotAFile,
};
use crate::printable::{ToPrintable, Untrusted};

/// Reasons why a qcow2 image can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    /// One of its files can't be used.
    #[error(transparent)]
    File(#[from] DiskError),
    /// The header is faulty, or needs an unknown feature.
    #[error("disk {}", path.printable())]
    Header {
        /// The image.
        path: PathBuf,
        /// The fault in its header.
        source: HeaderError,
    },
    /// The host failed in reading it.
    #[error("disk {} can't be read", path.printable())]
    Read {
        /// The image.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// imago can't read it.
    #[error("disk {} can't be used as qcow2; qemu-img check tells more", path.printable())]
    Tables {
        /// The image.
        path: PathBuf,
        /// imago's error.
        source: io::Error,
    },
    /// The folder with backing files can't be used.
    #[error("backing-root={} can't be used", path.printable())]
    Root {
        /// The folder.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// A fault in one of the files that the image needs.
    #[error("disk {} needs others", path.printable())]
    Below {
        /// The path that the user gave.
        path: PathBuf,
        /// The fault.
        source: Box<Qcow2Error>,
    },
    /// The backing file's format is not recorded.
    #[error(
        "disk {path} doesn't record the format of its backing file {name}, and to guess is unsafe; \
         record it: qemu-img rebase -u -F FORMAT -b {name} {path}",
        path = path.printable()
    )]
    NoFormat {
        /// The image.
        path: PathBuf,
        /// The backing file.
        name: Untrusted,
    },
    /// The backing file's format can't be read.
    #[error("the backing file {name} of disk {} is {format}; only qcow2, raw and vmdk can be read", path.printable())]
    Format {
        /// The image.
        path: PathBuf,
        /// The backing file.
        name: Untrusted,
        /// The format that is recorded for it.
        format: Untrusted,
    },
    /// A file that an image names is not a local file.
    #[error("the {what} {name} of disk {} {why}", path.printable())]
    NotAFile {
        /// The image.
        path: PathBuf,
        /// The role of the file, such as backing file.
        what: &'static str,
        /// The file.
        name: Untrusted,
        /// The kind of file that it is.
        why: NotAFile,
    },
    /// A file that an image names is in a folder that is not permitted.
    #[error(
        "the {what} {name} of disk {} is outside of the disk's folder; allow its own with backing-root=DIR",
        path.printable()
    )]
    Outside {
        /// The image.
        path: PathBuf,
        /// The role of the file, such as backing file.
        what: &'static str,
        /// The file.
        name: Untrusted,
    },
    /// The data file is also another part of the image.
    #[error("the data file {name} of disk {} is another part of it too", path.printable())]
    SharedData {
        /// The image.
        path: PathBuf,
        /// The data file.
        name: Untrusted,
    },
    /// An image is its own backing file, directly or through others.
    #[error("the backing file {name} of disk {} is above it too: the chain never ends", path.printable())]
    Loop {
        /// The image.
        path: PathBuf,
        /// The backing file.
        name: Untrusted,
    },
    /// More backing files than allowed.
    #[error("disk {} has more than {most} backing files, one below the other; merge some with qemu-img rebase", path.printable())]
    TooDeep {
        /// The image.
        path: PathBuf,
        /// The limit.
        most: usize,
    },
    /// The backing file is a faulty vmdk.
    #[error(transparent)]
    Vmdk(#[from] VmdkError),
    /// A temporary overlay can't be made in this folder.
    #[error(
        "a temporary overlay can't be made in {}; name a folder that has space by the environment's TMPDIR",
        path.printable()
    )]
    Temp {
        /// The folder.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// An overlay can't be made.
    #[error("an overlay can't be made")]
    Create(#[from] CreateError),
    /// The file that was given as an overlay has no backing file.
    #[error("{} is a standalone image, not an overlay, and was not overwritten; name another file", path.printable())]
    NoOverlay {
        /// The image.
        path: PathBuf,
    },
    /// The file that was given as an overlay belongs to another image.
    #[error("overlay {} is one of {name}, not of {}; name another file", path.printable(), base.printable())]
    OtherOverlay {
        /// The image.
        path: PathBuf,
        /// The backing file.
        name: Untrusted,
        /// The disk.
        base: PathBuf,
    },
    /// The overlay records another format for the disk.
    #[error(
        "overlay {} takes {} for {recorded}, but it is opened as {format}; add format={recorded}, or name another file",
        path.printable(), base.printable()
    )]
    OverlayFormat {
        /// The image.
        path: PathBuf,
        /// The format that it records.
        recorded: Untrusted,
        /// The disk.
        base: PathBuf,
        /// The disk's format.
        format: &'static str,
    },
}
