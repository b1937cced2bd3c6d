//! The write cache as the driver knows it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::options::CacheMode;

/// The write cache, which says if completed writes may be lost with the host's power until the driver flushes: shared by the device's front,
/// where the driver says so, and its workers.
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

    /// As it is before the driver has said anything.
    pub(crate) fn reset(&self) {
        self.set_writeback(self.mode.initial());
    }

    /// As it is with a driver that flushes, or does not: one that doesn't begins with no cache.
    pub(crate) fn agree(&self, flushes: bool) {
        self.set_writeback(flushes && self.mode.initial());
    }

    pub(crate) fn writeback(&self) -> bool {
        self.writeback.load(Ordering::SeqCst)
    }

    pub(crate) fn set_writeback(&self, writeback: bool) {
        self.writeback.store(writeback, Ordering::SeqCst);
    }

    /// Returns true if a write is to be on stable storage when it is answered.
    pub(crate) fn write_is_stable(&self) -> bool {
        self.flush_is_needed() && !self.writeback()
    }

    /// Returns true if a flush is to reach the disk.
    pub(crate) fn flush_is_needed(&self) -> bool {
        self.mode != CacheMode::Unsafe
    }
}

impl CacheMode {
    /// Returns true if a device that is reset has a write cache.
    fn initial(self) -> bool {
        self != Self::Writethrough
    }
}

#[cfg(test)]
#[path = "cache_test.rs"]
mod tests;
