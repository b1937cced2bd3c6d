//! Messages that a guest can't flood the log with.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

/// A message that is said once, however often it is true. Best kept where it outlives resets, which a guest can do as often as it likes.
#[derive(Debug, Default)]
pub struct Once(AtomicBool);

impl Once {
    /// Says `message` as an error, if this is the first time.
    pub fn error(&self, message: fmt::Arguments<'_>) {
        self.say(log::Level::Error, message);
    }

    /// Says `message` as a warning, if this is the first time.
    pub fn warn(&self, message: fmt::Arguments<'_>) {
        self.say(log::Level::Warn, message);
    }

    /// Says `message` to those who want to know more, if this is the first time.
    pub fn info(&self, message: fmt::Arguments<'_>) {
        self.say(log::Level::Info, message);
    }

    fn say(&self, level: log::Level, message: fmt::Arguments<'_>) {
        if !self.0.swap(true, Ordering::Relaxed) {
            log::log!(level, "{message}");
        }
    }
}
