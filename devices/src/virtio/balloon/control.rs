//! A balloon as its user and its host have it.

use std::{
    fmt::Debug,
    io,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use vm_memory::VolatileSlice;

use crate::once::Once;

/// The balloon counts in pages of this size, whatever the guest's or the host's are.
pub(super) const PAGE_SHIFT: u32 = 12;

/// The host's side of guest memory.
pub trait Reclaim: Send + Sync + Debug {
    /// Takes back the pages that lie whole in `memory`. They read as zeros, or as they were.
    ///
    /// # Errors
    ///
    /// The host can't.
    fn reclaim(&self, memory: &VolatileSlice<'_>) -> io::Result<()>;
}

/// A balloon as its user sees it. It outlives resets.
#[derive(Debug, Default)]
pub struct Control {
    /// Pages that the guest is asked to put in, and that it has put in.
    pub(super) target: AtomicU32,
    pub(super) actual: AtomicU32,
    /// Bytes that the host has taken back, again and again.
    pub(super) reclaimed: AtomicU64,
    pub(super) host_refuses: Once,
    pub(super) broken_queue: Once,
}

impl Control {
    /// Asks the guest to give up `bytes` of its memory, in all. It hears of it when the device is next measured.
    pub fn set_target(&self, bytes: u64) {
        self.target.store(u32::try_from(bytes >> PAGE_SHIFT).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Returns how many bytes the guest has given up, as it says itself.
    #[must_use]
    pub fn actual(&self) -> u64 {
        u64::from(self.actual.load(Ordering::Relaxed)) << PAGE_SHIFT
    }

    /// Returns how many bytes the host has taken back since nvmm started. The same page may have been among them often.
    #[must_use]
    pub fn reclaimed(&self) -> u64 {
        self.reclaimed.load(Ordering::Relaxed)
    }
}
