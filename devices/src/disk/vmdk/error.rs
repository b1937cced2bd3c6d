//! The faults of a vmdk.

use std::{
    fmt::{self, Display, Formatter},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::printable::ToPrintable;

/// The most links of a chain.
pub(super) const MAX_LINKS: usize = 64;

/// The reason why a vmdk can't be used.
#[derive(Debug, thiserror::Error)]
#[error("vmdk {}{} {problem}", path.printable(), NamedBy(named_by.as_deref()))]
pub struct VmdkError {
    /// The faulty file.
    pub path: PathBuf,
    /// The file that names it as its extent or parent; none if the user gave its path.
    pub named_by: Option<PathBuf>,
    /// The fault.
    pub problem: Problem,
    /// The host's error, if there was one.
    pub source: Option<io::Error>,
}

/// The faults of a vmdk, and the way out where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file doesn't exist.
    #[error("does not exist")]
    Missing,
    /// A directory, a device, a pipe.
    #[error("is not a file")]
    NotAFile,
    /// The file can't be opened.
    #[error("can't be opened")]
    Open,
    /// The file can't be locked.
    #[error("can't be locked")]
    Lock,
    /// Another program writes to it.
    #[error("is in use by {0}; end that")]
    InUse(String),
    /// The file is in use for another disk of this process.
    #[error("is in use by this nvmm itself, for another disk; give each its own")]
    Twice,
    /// A part of it can't be read.
    #[error("can't be read: its {0}")]
    Read(&'static str),
    /// Neither a descriptor nor a sparse extent.
    #[error("is not a vmdk")]
    NotAVmdk,
    /// An extent without its descriptor.
    #[error(
        "is an extent without a descriptor, a piece of a disk; give the file that names it{}",
        .0.as_ref().map(|path| format!(", {}", path.printable())).unwrap_or_default()
    )]
    NoDescriptor(Option<PathBuf>),
    /// A field that contradicts the format or the file.
    #[error("has a bad {field}: {why}")]
    Bad {
        /// The specification's name for the field.
        field: &'static str,
        /// The fault.
        why: String,
    },
    /// A variant of the format that nvmm does not know.
    #[error("has {0}, which nvmm does not read")]
    Unsupported(String),
    /// The file is in none of the permitted folders.
    #[error("is outside of {}; if it is meant, name its folder with backing-root=", .0.printable())]
    Outside(PathBuf),
    /// The parent has changed since the child was made from it.
    #[error(
        "was changed after its child was made from it: its CID is {found:08x}, the child's parentCID {expected:08x}"
    )]
    Changed {
        /// The child's value.
        expected: u32,
        /// The parent's value.
        found: u32,
    },
    /// A link or a sparse extent that is in the chain already, as when links form a loop.
    #[error("is in this chain already")]
    Repeated,
    /// Too many links.
    #[error("is one parent too many: a chain has at most {} links", MAX_LINKS)]
    TooDeep,
}

/// Writes ` (named by CHILD)` for the message.
struct NamedBy<'a>(Option<&'a Path>);

impl Display for NamedBy<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |path| write!(f, " (named by {})", path.printable()))
    }
}

/// A problem, with the host's error if there was one.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Problem, Option<io::Error>);

impl Failure {
    /// The failure of a field that is wrong.
    pub(super) fn bad(field: &'static str, why: impl Into<String>) -> Self {
        Problem::Bad { field, why: why.into() }.into()
    }

    pub(super) fn of(self, path: &Path) -> VmdkError {
        let Self(problem, source) = self;
        VmdkError { path: path.to_path_buf(), named_by: None, problem, source }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem, None)
    }
}

impl Problem {
    pub(super) fn because<E: Into<io::Error>>(self) -> impl FnOnce(E) -> Failure {
        |error| Failure(self, Some(error.into()))
    }
}

/// The error for a fault that was found in an image while it was read.
pub(super) fn damage(path: &Path, what: impl Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("vmdk {}: {what}", path.printable()))
}
