//! Messages with which a guest can't flood the log.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

/// A message that is logged only once. It is best kept where it outlives resets, which a guest can do as often as it likes.
#[derive(Debug, Default)]
pub struct Once(AtomicBool);

impl Once {
    /// Logs `message` as an error, the first time.
    pub fn error(&self, message: fmt::Arguments<'_>) {
        self.say(log::Level::Error, message);
    }

    /// Logs `message` as a warning, the first time.
    pub fn warn(&self, message: fmt::Arguments<'_>) {
        self.say(log::Level::Warn, message);
    }

    /// Logs `message` as information, the first time.
    pub fn info(&self, message: fmt::Arguments<'_>) {
        self.say(log::Level::Info, message);
    }

    fn say(&self, level: log::Level, message: fmt::Arguments<'_>) {
        if !self.0.swap(true, Ordering::Relaxed) {
            log::log!(level, "{message}");
        }
    }
}
