//! VMware's images, which are only read: sparse, flat and compressed, in one file or many, with the disks of which they are snapshots.
//!
//! VMware's "Virtual Disk Format 5.0" calls the whole a virtual disk and each member of its chain a link. A link consists of a descriptor
//! and extents; what a sparse extent lacks is in its parent link. Nothing in the files is trusted: every offset, size and count is checked
//! before it is used, and no memory is allocated merely because a file claims to need it.

mod cache;
mod chain;
mod descriptor;
mod error;
mod extent;
pub(super) mod facts;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod grains;
mod header;
mod image;
pub(super) mod look;
mod name;
pub(super) mod piece;
mod span;
mod stream;
#[cfg(test)]
mod testing;

pub use error::{Problem, VmdkError};
pub use header::is_vmdk;

use std::{
    io::{self, ErrorKind},
    ops::Range,
    path::{Path, PathBuf},
};

use vm_memory::VolatileSlice;

use self::{
    cache::Caches,
    chain::Link,
    span::{Place, Span},
};
use super::{
    BlockSize, Disk, Extent,
    raw::{FILE_BLOCK_SIZE, Opened},
};
use crate::{printable::ToPrintable, vectored};

/// An open vmdk. It is read-only, and share-locked with all of its files until it is dropped.
#[derive(Debug)]
pub struct Vmdk {
    name: String,
    /// The links, each followed by its parent.
    links: Vec<Link>,
    caches: Caches,
}

impl Vmdk {
    /// Opens and locks the image at `path`, its extents, and its parents with theirs. All files have to be in its folder, in one of
    /// `roots`, or below.
    ///
    /// # Errors
    ///
    /// One of the files is missing, in use by a writer, of an unknown variant, or contradicts itself, its length, or its child; it is in a
    /// folder that is not permitted; or there are too many files.
    pub fn open(path: &Path, roots: &[PathBuf]) -> Result<Self, VmdkError> {
        Ok(Self::of(path, chain::open(path, roots)?))
    }

    /// Uses a file that was opened with the same `path`, and is locked. Other programs may read it from now on.
    pub(super) fn new(opened: Opened, path: &Path, roots: &[PathBuf]) -> Result<Self, VmdkError> {
        Ok(Self::of(path, chain::open_from(opened, path, roots)?))
    }

    fn of(path: &Path, links: Vec<Link>) -> Self {
        Self { name: path.printable().to_string(), links, caches: Caches::new() }
    }

    /// Finds the place of the bytes at `offset`, for at most `len` bytes.
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

/// The buffers that still have to be filled.
struct Left<'a, 'm> {
    buffers: &'a [VolatileSlice<'m>],
    /// The number of bytes of the first buffer that are filled.
    skip: usize,
}

impl<'m> Left<'_, 'm> {
    /// Takes the buffers for the next `len` bytes.
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

fn never_written() -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, "a vmdk is never written to")
}

#[cfg(test)]
#[path = "vmdk_test.rs"]
mod tests;

#[cfg(test)]
#[path = "vmdk/qemu_test.rs"]
mod qemu_tests;
