//! Lines on their way to a client, which may read late or never.

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

/// Above so many bytes on their way, no command is taken, and events are dropped. One answer may be longer.
const MOST: usize = 256 << 10;
/// A client that has events dropped and takes nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines that a client has not taken.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: VecDeque<u8>,
    /// Since when the client has taken nothing, once an event was dropped.
    stuck: Option<Instant>,
    dropped_any: bool,
}

impl Outbox {
    /// Returns whether a command may be taken, whose answer would come in here.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.len() < MOST
    }

    /// Returns whether something waits to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes an answer.
    pub(super) fn answer(&mut self, line: &str) {
        self.bytes.extend(line.as_bytes());
    }

    /// Takes an event, or drops it. Returns whether it is the first that is dropped.
    pub(super) fn event(&mut self, line: &str, now: Instant) -> bool {
        if self.has_room() {
            self.bytes.extend(line.as_bytes());
            return false;
        }
        self.stuck.get_or_insert(now);
        !std::mem::replace(&mut self.dropped_any, true)
    }

    /// Sends what the client takes.
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

    /// The time when a client that still takes nothing is let go.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        self.stuck?.checked_add(PATIENCE)
    }
}

#[cfg(test)]
#[path = "outbox_test.rs"]
mod tests;
