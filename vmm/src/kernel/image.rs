//! A kernel image: its segments, their addresses, and the entry point.

use std::ops::Range;

use arch::{boot::Entry, layout};
use linux_loader::loader::bootparam::setup_header;

use super::initramfs::Limit;

/// A kernel image that has passed all checks that don't depend on the guest's memory.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) entry: Entry,
    /// A bzImage's setup header.
    pub(super) header: Option<setup_header>,
    /// The segments. All lie below [`Image::end`].
    pub(super) segments: Vec<Segment>,
    /// The end of the memory that the kernel uses before it knows its memory map.
    pub(super) end: u64,
    /// The limit for its initramfs.
    pub(super) initramfs: Limit,
    /// The longest command line in bytes, without its NUL.
    pub(super) cmdline_max: usize,
}

/// A part of the file, and its address in memory. If it is longer in memory than in the file, the rest is zeros, like all fresh memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) file_len: u64,
    pub(super) address: u64,
    pub(super) memory_len: u64,
}

impl Segment {
    /// The end in memory. Parsers refuse segments that would go past the last address.
    pub(super) fn end(&self) -> u64 {
        self.address.saturating_add(self.memory_len)
    }

    /// Returns whether bytes of the file are loaded at `address`.
    pub(super) fn fills(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|offset| offset < self.file_len)
    }
}

/// Reasons why a file can't be started as a kernel.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Another kind of file.
    #[error("{0}; give a bzImage (Debian: /boot/vmlinuz-*) or an ELF vmlinux")]
    NotAKernel(&'static str),
    /// A kernel that firmware can't start.
    #[error("{0}; firmware starts a bzImage (Debian: /boot/vmlinuz-*)")]
    NotForFirmware(&'static str),
    /// The headers contradict each other, or describe more than the file has.
    #[error("the file is truncated or damaged: {0}")]
    Damaged(String),
    /// A segment is below 1 MiB, at addresses that nvmm uses.
    #[error(
        "its segment at {:#x} to {:#x} would lie over the {what}, which nvmm puts at {:#x} to {:#x}; link the kernel above 1 MiB",
        segment.start, segment.end - 1, taken.start, taken.end - 1
    )]
    Taken {
        /// The segment's addresses.
        segment: Range<u64>,
        /// The addresses that nvmm uses.
        taken: Range<u64>,
        /// Their use.
        what: &'static str,
    },
}

impl ImageError {
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}

/// Refuses a segment at addresses that nvmm uses.
pub(super) fn check_place(segment: &Segment) -> Result<(), ImageError> {
    let segment = segment.address..segment.end();
    let over = |taken: &Range<u64>| segment.start < taken.end && taken.start < segment.end;
    match layout::BOOT_STRUCTURES.into_iter().find(|(_, taken)| over(taken)) {
        Some((what, taken)) => Err(ImageError::Taken { segment, taken, what }),
        None => Ok(()),
    }
}
