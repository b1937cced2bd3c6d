//! Why a guest can't be made ready to boot.

use vm_memory::GuestMemoryError;

/// Why a guest can't be made ready to boot.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Nothing would be left for a kernel.
    #[error("{0} bytes of memory are not enough: more than 1 MiB is needed")]
    MemoryTooSmall(u64),
    /// Guest memory is made of pages.
    #[error("{0} bytes of memory are not a multiple of 4096")]
    MemoryUnaligned(u64),
    /// Past what addresses can say.
    #[error("{0} bytes of memory are more than an x86 machine can address")]
    MemoryTooLarge(u64),
    /// Not in guest memory.
    #[error("can't write the {what} to guest memory")]
    Write {
        /// The structure that didn't fit.
        what: &'static str,
        /// Why.
        source: GuestMemoryError,
    },
}

impl BootError {
    pub(super) fn writing(what: &'static str) -> impl Fn(GuestMemoryError) -> Self {
        move |source| Self::Write { what, source }
    }
}
