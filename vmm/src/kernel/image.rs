//! A kernel image: its segments, their places in memory, and the entry.

use std::ops::Range;

use arch::{boot::Entry, layout};
use linux_loader::loader::bootparam::setup_header;

use super::initramfs::Limit;

/// A kernel image that has been read and found whole. It knows nothing yet of the memory it goes to.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) entry: Entry,
    /// A bzImage's setup header.
    pub(super) header: Option<setup_header>,
    /// All lie below [`Image::end`].
    pub(super) segments: Vec<Segment>,
    /// The end of the memory that the kernel uses before it knows its memory map.
    pub(super) end: u64,
    /// The place for its initramfs.
    pub(super) initramfs: Limit,
    /// The longest command line in bytes, without its NUL.
    pub(super) cmdline_max: usize,
}

/// A piece of the file and its place in memory. Bytes in memory beyond those in the file are zero, as fresh memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) file_len: u64,
    pub(super) address: u64,
    pub(super) memory_len: u64,
}

impl Segment {
    /// Its end in memory; parsers refuse segments that would end past the last address.
    pub(super) fn end(&self) -> u64 {
        self.address.saturating_add(self.memory_len)
    }

    /// Tells if bytes of the file are at `address`.
    pub(super) fn fills(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|offset| offset < self.file_len)
    }
}

/// Why a file can't be started as a kernel.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Another kind of file.
    #[error("{0}; give a bzImage (Debian: /boot/vmlinuz-*) or an ELF vmlinux")]
    NotAKernel(&'static str),
    /// A kernel that firmware can't start.
    #[error("{0}; firmware starts a bzImage (Debian: /boot/vmlinuz-*)")]
    NotForFirmware(&'static str),
    /// Its headers contradict each other, or promise more than the file has.
    #[error("the file is truncated or damaged: {0}")]
    Damaged(String),
    /// A segment below 1 MiB, where nvmm has something too.
    #[error(
        "its segment at {:#x} to {:#x} would lie over the {what}, which nvmm puts at {:#x} to {:#x}; link the kernel above 1 MiB",
        segment.start, segment.end - 1, taken.start, taken.end - 1
    )]
    Taken {
        /// The segment's place.
        segment: Range<u64>,
        /// The other thing's place.
        taken: Range<u64>,
        /// Its name.
        what: &'static str,
    },
}

impl ImageError {
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}

/// Refuses a segment that lies where nvmm has something too.
pub(super) fn check_place(segment: &Segment) -> Result<(), ImageError> {
    let segment = segment.address..segment.end();
    let over = |taken: &Range<u64>| segment.start < taken.end && taken.start < segment.end;
    match layout::BOOT_STRUCTURES.into_iter().find(|(_, taken)| over(taken)) {
        Some((what, taken)) => Err(ImageError::Taken { segment, taken, what }),
        None => Ok(()),
    }
}
