//! A balloon's target and size, for its user and the host.

use std::{
    fmt::Debug,
    io,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use vm_memory::VolatileSlice;

use crate::once::Once;

/// The shift of a balloon's page size, 4 KiB, whatever the guest's or the host's pages are.
pub(super) const PAGE_SHIFT: u32 = 12;

/// Takes back guest memory for the host.
pub trait Reclaim: Send + Sync + Debug {
    /// Takes back the whole pages in `memory`. They read as zeros afterwards, or as before.
    ///
    /// # Errors
    ///
    /// The host refuses.
    fn reclaim(&self, memory: &VolatileSlice<'_>) -> io::Result<()>;
}

/// A balloon from its user's view. It outlives resets.
#[derive(Debug, Default)]
pub struct Control {
    /// Pages that the guest is asked to put into the balloon, and pages that are in it.
    pub(super) target: AtomicU32,
    pub(super) actual: AtomicU32,
    /// Bytes that the host has taken back, counted each time.
    pub(super) reclaimed: AtomicU64,
    pub(super) host_refuses: Once,
    pub(super) broken_queue: Once,
}

impl Control {
    /// Asks the guest to give up `bytes` of its memory in all. The guest is notified when the device is next measured.
    pub fn set_target(&self, bytes: u64) {
        self.target.store(u32::try_from(bytes >> PAGE_SHIFT).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Returns how many bytes the guest has given up, according to the guest.
    #[must_use]
    pub fn actual(&self) -> u64 {
        u64::from(self.actual.load(Ordering::Relaxed)) << PAGE_SHIFT
    }

    /// Returns how many bytes the host has taken back since nvmm started. Pages that were taken back repeatedly count each time.
    #[must_use]
    pub fn reclaimed(&self) -> u64 {
        self.reclaimed.load(Ordering::Relaxed)
    }
}
