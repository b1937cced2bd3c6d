//! The lines to send to a client, which may read late or never.

use std::{
    collections::VecDeque,
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{SendFlags, send},
};

/// Above this many unsent bytes, no command is taken, and events are dropped. A single answer may be longer.
const MOST: usize = 256 << 10;
/// A client that had events dropped and reads nothing for this long is disconnected.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines that a client hasn't read yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: VecDeque<u8>,
    /// The time since which the client has read nothing, once an event was dropped.
    stuck: Option<Instant>,
    dropped_any: bool,
}

impl Outbox {
    /// Returns whether a command may be taken, as there is room for its answer.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.len() < MOST
    }

    /// Returns whether nothing is waiting to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds an answer.
    pub(super) fn answer(&mut self, line: &str) {
        self.bytes.extend(line.as_bytes());
    }

    /// Adds an event, or drops it. Returns whether it is the first one dropped.
    pub(super) fn event(&mut self, line: &str, now: Instant) -> bool {
        if self.has_room() {
            self.bytes.extend(line.as_bytes());
            return false;
        }
        self.stuck.get_or_insert(now);
        !std::mem::replace(&mut self.dropped_any, true)
    }

    /// Sends as much as the client takes.
    ///
    /// # Errors
    ///
    /// The client is gone.
    pub(super) fn send(&mut self, socket: impl AsFd) -> io::Result<()> {
        while !self.bytes.is_empty() {
            let (bytes, _) = self.bytes.as_slices();
            match send(&socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(len) => {
                    self.bytes.drain(..len);
                    self.stuck = None;
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The time when a client that still takes nothing is disconnected.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        self.stuck?.checked_add(PATIENCE)
    }
}

#[cfg(test)]
#[path = "outbox_test.rs"]
mod tests;
