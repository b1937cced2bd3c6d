//! The write cache as the driver knows it.

use std::sync::atomic::{AtomicBool, Ordering};

use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH};

use super::{config::bit, options::CacheMode};

/// Whether completed writes may be lost with the host's power until the driver flushes: shared by the device's front,
/// where the driver says so, and its queues.
#[derive(Debug)]
pub(super) struct WriteCache {
    mode: CacheMode,
    /// The field of that name.
    writeback: AtomicBool,
}

impl WriteCache {
    pub(super) fn new(mode: CacheMode) -> Self {
        Self { mode, writeback: AtomicBool::new(mode.initial()) }
    }

    /// As it is before the driver has said anything.
    pub(super) fn reset(&self) {
        self.set_writeback(self.mode.initial());
    }

    /// Follows the features that were agreed on. virtio 1.3, "Block Device", "Device Initialization": a driver that doesn't
    /// flush begins with no cache.
    pub(super) fn agree(&self, features: u64) {
        let flushes = features & bit(VIRTIO_BLK_F_FLUSH) != 0;
        self.set_writeback(flushes && self.mode.initial());
    }

    /// Whether `features` let the driver write the field.
    pub(super) fn is_writable(features: u64) -> bool {
        features & bit(VIRTIO_BLK_F_CONFIG_WCE) != 0
    }

    pub(super) fn writeback(&self) -> bool {
        self.writeback.load(Ordering::SeqCst)
    }

    pub(super) fn set_writeback(&self, writeback: bool) {
        self.writeback.store(writeback, Ordering::SeqCst);
    }

    /// Whether a write is to be on stable storage when it is answered.
    pub(super) fn write_is_stable(&self) -> bool {
        self.flush_is_needed() && !self.writeback()
    }

    /// Whether a flush is to reach the disk.
    pub(super) fn flush_is_needed(&self) -> bool {
        self.mode != CacheMode::Unsafe
    }
}

impl CacheMode {
    /// Whether a device that is reset has a write cache.
    fn initial(self) -> bool {
        self != Self::Writethrough
    }
}

#[cfg(test)]
#[path = "cache_test.rs"]
mod tests;
