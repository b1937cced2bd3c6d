//! Errors from making a guest ready to boot.

use vm_memory::GuestMemoryError;

/// Reasons why a guest can't be made ready to boot.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Memory is so small that no room is left for a kernel.
    #[error("{0} bytes of memory are not enough: more than 1 MiB is needed")]
    MemoryTooSmall(u64),
    /// Memory is not a whole number of pages.
    #[error("{0} bytes of memory are not a multiple of 4096")]
    MemoryUnaligned(u64),
    /// Memory is larger than the physical address space.
    #[error("{0} bytes of memory are more than an x86 machine can address")]
    MemoryTooLarge(u64),
    /// The address of a structure is not in guest memory.
    #[error("can't write the {what} to guest memory")]
    Write {
        /// The structure that didn't fit.
        what: &'static str,
        /// The error in writing.
        source: GuestMemoryError,
    },
}

impl BootError {
    pub(super) fn writing(what: &'static str) -> impl Fn(GuestMemoryError) -> Self {
        move |source| Self::Write { what, source }
    }
}
