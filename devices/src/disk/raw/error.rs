//! The faults of a file that disks are made of.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::printable::ToPrintable;

/// The reason why a disk can't be used.
#[derive(Debug, thiserror::Error)]
#[error("disk {} {problem}", path.printable())]
pub struct DiskError {
    /// The path that the user gave.
    pub path: PathBuf,
    /// The fault.
    pub problem: Problem,
    /// The host's error, if there was one.
    pub source: Option<io::Error>,
}

/// The faults of a disk, and the way out where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file doesn't exist.
    #[error("does not exist")]
    Missing,
    /// A directory.
    #[error("is a directory; give an image file or a block device")]
    Directory,
    /// A terminal, a pipe, a socket.
    #[error("is neither a file nor a block device")]
    NotADisk,
    /// A file of 0 bytes, or a drive without a medium.
    #[error("is empty; give it a size first, as truncate -s 10G does")]
    Empty,
    /// The file can be read, but not written to.
    #[error("can't be written to; change that, or add readonly=on")]
    ReadOnly,
    /// Another program uses it.
    #[error("is in use by {0}; end that, or use readonly=on on both sides")]
    InUse(String),
    /// The file is another disk of this process, or the base of one.
    #[error(
        "is in use by this nvmm itself: another disk or overlay is the same file, or is based on it; give each its own, or use readonly=on on both sides"
    )]
    Twice,
    /// The file system has no direct I/O.
    #[error("can't be used past the page cache; use direct=off")]
    NoDirect,
    /// /proc is not mounted, and reopening with `O_DIRECT` needs it.
    #[error("can't be used past the page cache without /proc; mount it, or use direct=off")]
    NoProc,
    /// The file can't be opened.
    #[error("can't be opened")]
    Open,
    /// The file can't be locked.
    #[error("can't be locked")]
    Lock,
    /// The size is not known.
    #[error("can't be measured")]
    Measure,
}

/// A problem, with the host's error if there was one.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Problem, pub(super) Option<io::Error>);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem, None)
    }
}

impl Failure {
    pub(super) fn of(path: &Path) -> impl FnOnce(Self) -> DiskError {
        |Self(problem, source)| DiskError { path: path.to_path_buf(), problem, source }
    }
}

impl Problem {
    pub(in super::super) fn at(self, path: &Path) -> DiskError {
        Failure::of(path)(self.into())
    }

    pub(super) fn because<E: Into<io::Error>>(self) -> impl FnOnce(E) -> Failure {
        |error| Failure(self, Some(error.into()))
    }
}
