//! The write cache as the driver sees it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::options::CacheMode;

/// The write cache's setting: whether completed writes may be lost in a power failure of the host until the driver flushes. Shared by the
/// device's front, which gets it from the driver, and its workers.
#[derive(Debug)]
pub(crate) struct WriteCache {
    mode: CacheMode,
    /// The driver's choice.
    writeback: AtomicBool,
}

impl WriteCache {
    pub(crate) fn new(mode: CacheMode) -> Self {
        Self { mode, writeback: AtomicBool::new(mode.initial()) }
    }

    /// Resets the setting to the one before any driver.
    pub(crate) fn reset(&self) {
        self.set_writeback(self.mode.initial());
    }

    /// Sets the cache for a driver that can flush or can't: one that can't begins without a cache.
    pub(crate) fn agree(&self, flushes: bool) {
        self.set_writeback(flushes && self.mode.initial());
    }

    pub(crate) fn writeback(&self) -> bool {
        self.writeback.load(Ordering::SeqCst)
    }

    pub(crate) fn set_writeback(&self, writeback: bool) {
        self.writeback.store(writeback, Ordering::SeqCst);
    }

    /// Returns true if a write must be on stable storage before it is answered.
    pub(crate) fn write_is_stable(&self) -> bool {
        self.flush_is_needed() && !self.writeback()
    }

    /// Returns true if a flush must reach the disk.
    pub(crate) fn flush_is_needed(&self) -> bool {
        self.mode != CacheMode::Unsafe
    }
}

impl CacheMode {
    /// Returns true if a device has a write cache after a reset.
    fn initial(self) -> bool {
        self != Self::Writethrough
    }
}

#[cfg(test)]
#[path = "cache_test.rs"]
mod tests;
