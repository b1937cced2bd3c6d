//! Messages that a guest can't flood the log with.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

/// A message that is said once, however often it is true. It outlives resets, which a guest can do as often as it likes.
#[derive(Debug, Default)]
pub(super) struct Once(AtomicBool);

impl Once {
    /// Says `message`, if this is the first time.
    pub(super) fn warn(&self, message: fmt::Arguments<'_>) {
        if !self.0.swap(true, Ordering::Relaxed) {
            log::warn!("{message}");
        }
    }
}
