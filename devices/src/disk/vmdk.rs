//! VMware's images, read as they are: sparse, flat and compressed, in one file or many, with the disks they are
//! snapshots of.
//!
//! VMware's "Virtual Disk Format 5.0" calls the whole a virtual disk and each member of its chain a link. A link is a
//! descriptor and extents; what a sparse extent doesn't hold is in its parent link. Nothing in the files is believed:
//! every offset, size and count is checked before it is used, and no memory is taken for what a file only claims.

mod cache;
mod chain;
mod descriptor;
mod extent;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod grains;
mod header;
mod image;
pub(super) mod look;
mod name;
pub(super) mod piece;
mod stream;
#[cfg(test)]
mod testing;

use std::{
    fmt::{self, Display, Formatter},
    io::{self, ErrorKind},
    ops::Range,
    path::{Path, PathBuf},
};

use vm_memory::VolatileSlice;

use self::{
    cache::Caches,
    chain::Link,
    extent::{Place, Span},
};
use super::{BlockSize, Disk, Extent, raw::FILE_BLOCK_SIZE, vectored};
use crate::printable::ToPrintable;

/// How to open a vmdk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmdkOptions {
    /// Where its extents and parents may be, besides the folder that it is in.
    pub backing_root: Option<PathBuf>,
}

/// Why a vmdk can't be used.
#[derive(Debug, thiserror::Error)]
#[error("vmdk {}{} {problem}", path.printable(), NamedBy(named_by.as_deref()))]
pub struct VmdkError {
    /// The file that is wrong.
    pub path: PathBuf,
    /// The file that named it as its extent or parent, if it is not what the user gave.
    pub named_by: Option<PathBuf>,
    /// What is wrong with it.
    pub problem: Problem,
    /// What the host said, if it was asked.
    pub source: Option<io::Error>,
}

/// What can be wrong with a vmdk, and the way out where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing has that name.
    #[error("does not exist")]
    Missing,
    /// A directory, a device, a pipe.
    #[error("is not a file")]
    NotAFile,
    /// It can't be opened.
    #[error("can't be opened")]
    Open,
    /// It can't be locked.
    #[error("can't be locked")]
    Lock,
    /// Somebody writes to it.
    #[error("is in use by {0}; end that")]
    InUse(String),
    /// A part of it can't be read.
    #[error("can't be read: its {0}")]
    Read(&'static str),
    /// Neither a descriptor nor a sparse extent.
    #[error("is not a vmdk")]
    NotAVmdk,
    /// An extent by itself.
    #[error(
        "is an extent without a descriptor, a piece of a disk; give the file that names it{}",
        .0.as_ref().map(|path| format!(", {}", path.printable())).unwrap_or_default()
    )]
    NoDescriptor(Option<PathBuf>),
    /// A field that contradicts the format or the file.
    #[error("has a bad {field}: {why}")]
    Bad {
        /// As the specification calls it.
        field: &'static str,
        /// What it is, and what it could be.
        why: String,
    },
    /// A variant of the format that nvmm does not know.
    #[error("has {0}, which nvmm does not read")]
    Unsupported(String),
    /// In none of the folders that files may be taken from.
    #[error("is outside of {}; if it is meant, name its folder with backing-root=", .0.printable())]
    Outside(PathBuf),
    /// Its content is not what its child was made from.
    #[error(
        "was changed after its child was made from it: its CID is {found:08x}, the child's parentCID {expected:08x}"
    )]
    Changed {
        /// What the child says.
        expected: u32,
        /// What the parent says.
        found: u32,
    },
    /// A link or a sparse extent that was there before, as it is where links form a loop.
    #[error("is in this chain already")]
    Repeated,
    /// Too many links.
    #[error("is one parent too many: a chain has at most {} links", chain::MAX_LINKS)]
    TooDeep,
}

/// An open vmdk, read-only and share-locked with all of its files until it is dropped.
#[derive(Debug)]
pub struct Vmdk {
    name: String,
    /// Each the child of the one after it.
    links: Vec<Link>,
    caches: Caches,
}

impl Vmdk {
    /// Whether a file that begins with `start` (512 bytes, or all of a shorter one) is for [`Vmdk::open`]: a sparse
    /// extent, of VMware's hosted products or of old ESX, or a descriptor.
    #[must_use]
    pub fn is_vmdk(start: &[u8]) -> bool {
        start.starts_with(&header::MAGIC)
            || start.starts_with(&header::COWD_MAGIC)
            || descriptor::is_descriptor(start)
    }

    /// Opens and locks the image at `path`, its extents, and its parents with theirs.
    ///
    /// # Errors
    ///
    /// One of the files is missing, in use by a writer, of a variant that is not known, or contradicts itself, its
    /// length, or its child; it is where it may not be; or there are too many of them.
    pub fn open(path: &Path, options: &VmdkOptions) -> Result<Self, VmdkError> {
        Self::open_within(path, options.backing_root.as_slice())
    }

    /// Does the same, with extents and parents also from any of `roots`.
    pub(super) fn open_within(path: &Path, roots: &[PathBuf]) -> Result<Self, VmdkError> {
        let links = chain::open(path, roots)?;
        Ok(Self { name: path.printable().to_string(), links, caches: Caches::new() })
    }

    /// Finds what is at `offset`, for at most `len` bytes.
    fn locate(&self, offset: u64, len: u64) -> io::Result<Span<'_>> {
        let mut len = len;
        for link in &self.links {
            let span = link.locate(offset, len, &self.caches)?;
            if !matches!(span.place, Place::Parent) {
                return Ok(span);
            }
            len = span.len;
        }
        Ok(Span { len, place: Place::Zeros })
    }
}

impl Disk for Vmdk {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.links.first().map_or(0, Link::size)
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn block_size(&self) -> BlockSize {
        FILE_BLOCK_SIZE
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        let mut left = Left { buffers, skip: 0 };
        let mut len = vectored::total(buffers);
        let mut offset = offset;
        while len > 0 {
            let span = self.locate(offset, len)?;
            span.place.read(&left.take(span.len)?)?;
            offset = offset.checked_add(span.len).ok_or(ErrorKind::InvalidInput)?;
            len -= span.len;
        }
        Ok(())
    }

    fn write_at(&self, _: &[VolatileSlice<'_>], _: u64) -> io::Result<()> {
        Err(never_written())
    }

    fn write_zeroes(&self, _: Range<u64>, _: bool) -> io::Result<()> {
        Err(never_written())
    }

    fn discard(&self, _: Range<u64>) -> io::Result<()> {
        Err(never_written())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn extent_at(&self, offset: u64, len: u64) -> io::Result<Extent> {
        let span = self.locate(offset, len)?;
        Ok(Extent { len: span.len, is_zero: matches!(span.place, Place::Zeros) })
    }
}

/// The buffers that are still to be filled.
struct Left<'a, 'm> {
    buffers: &'a [VolatileSlice<'m>],
    /// The part of the first of them that is filled.
    skip: usize,
}

impl<'m> Left<'_, 'm> {
    /// Takes the next `len` bytes.
    fn take(&mut self, len: u64) -> io::Result<Vec<VolatileSlice<'m>>> {
        let mut len = usize::try_from(len).map_err(io::Error::other)?;
        let mut taken = Vec::new();
        while len > 0 {
            let (first, rest) = self.buffers.split_first().ok_or(ErrorKind::InvalidInput)?;
            let count = len.min(first.len() - self.skip);
            taken.push(first.subslice(self.skip, count).map_err(io::Error::other)?);
            len -= count;
            self.skip += count;
            if self.skip == first.len() {
                self.buffers = rest;
                self.skip = 0;
            }
        }
        Ok(taken)
    }
}

/// ` (named by CHILD)`, for the message.
struct NamedBy<'a>(Option<&'a Path>);

impl Display for NamedBy<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |path| write!(f, " (named by {})", path.printable()))
    }
}

/// A problem, and the host's word on it.
#[derive(Debug)]
struct Failure(Problem, Option<io::Error>);

impl Failure {
    /// A field that is wrong.
    fn bad(field: &'static str, why: impl Into<String>) -> Self {
        Problem::Bad { field, why: why.into() }.into()
    }

    fn of(self, path: &Path) -> VmdkError {
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
    fn because<E: Into<io::Error>>(self) -> impl FnOnce(E) -> Failure {
        |error| Failure(self, Some(error.into()))
    }
}

fn never_written() -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, "a vmdk is never written to")
}

/// An image that turned out to be wrong while it was read.
fn damage(path: &Path, what: impl Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("vmdk {}: {what}", path.printable()))
}

#[cfg(test)]
#[path = "vmdk_test.rs"]
mod tests;

#[cfg(test)]
#[path = "vmdk/qemu_test.rs"]
mod qemu_tests;
