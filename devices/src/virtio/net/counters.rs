//! Counts the frames that a network device has passed on or dropped.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::size::Rounded;

/// Reasons why a frame was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The link is down.
    LinkDown,
    /// The frame is for another address, or of a kind that the driver doesn't want.
    Unwanted,
    /// The driver's buffers are too small for the frame.
    NoRoom,
    /// The frame is too short or too long, or uses an offload that was not negotiated.
    Malformed,
    /// The host did not accept the frame.
    Refused,
}

/// The frames of a device, by queue pair. They are counted across resets of the machine.
#[derive(Debug)]
pub struct Counters {
    pairs: Box<[PairCounters]>,
}

/// The frames of a queue pair.
#[derive(Debug, Default)]
pub struct PairCounters {
    /// Frames to the guest.
    pub received: Tally,
    /// Frames from the guest.
    pub sent: Tally,
}

/// The frames of one queue. Only its thread counts: an atomic addition would wait for all that the thread has written to the guest. Queues
/// share neither a cache line nor a pair of lines, which processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    frames: AtomicU64,
    bytes: AtomicU64,
    link_down: AtomicU64,
    unwanted: AtomicU64,
    no_room: AtomicU64,
    malformed: AtomicU64,
    refused: AtomicU64,
}

/// The frames of all queue pairs. Displayed, it is a line for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames to the guest.
    pub received: Total,
    /// Frames from the guest.
    pub sent: Total,
}

/// Frames in one direction. Bytes are counted without virtio headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Frames that were passed on.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames dropped for [`Reason::LinkDown`].
    pub link_down: u64,
    /// Frames dropped for [`Reason::Unwanted`].
    pub unwanted: u64,
    /// Frames dropped for [`Reason::NoRoom`].
    pub no_room: u64,
    /// Frames dropped for [`Reason::Malformed`].
    pub malformed: u64,
    /// Frames dropped for [`Reason::Refused`].
    pub refused: u64,
}

impl Counters {
    /// Makes counters, all 0, for `pairs` queue pairs, at least one.
    #[must_use]
    pub fn new(pairs: u16) -> Self {
        Self { pairs: (0..pairs.max(1)).map(|_| PairCounters::default()).collect() }
    }

    /// Returns the counters of queue pair `index`. A pair without counters of its own shares those of another.
    #[must_use]
    pub fn pair(&self, index: u16) -> &PairCounters {
        &self.pairs[usize::from(index) % self.pairs.len()]
    }

    /// Returns the sum of all pairs. Frames that are being counted meanwhile may be missing.
    #[must_use]
    pub fn total(&self) -> Totals {
        self.pairs.iter().fold(Totals::default(), |sum, pair| Totals {
            received: pair.received.add_to(sum.received),
            sent: pair.sent.add_to(sum.sent),
        })
    }
}

impl Tally {
    /// Counts a frame of `bytes` bytes as passed on.
    pub fn passed(&self, bytes: usize) {
        count(&self.frames, 1);
        count(&self.bytes, bytes as u64);
    }

    /// Counts a frame as dropped.
    pub fn dropped(&self, reason: Reason) {
        let counter = match reason {
            Reason::LinkDown => &self.link_down,
            Reason::Unwanted => &self.unwanted,
            Reason::NoRoom => &self.no_room,
            Reason::Malformed => &self.malformed,
            Reason::Refused => &self.refused,
        };
        count(counter, 1);
    }

    fn add_to(&self, sum: Total) -> Total {
        let add = |sum: u64, counter: &AtomicU64| sum.wrapping_add(counter.load(Ordering::Relaxed));
        Total {
            frames: add(sum.frames, &self.frames),
            bytes: add(sum.bytes, &self.bytes),
            link_down: add(sum.link_down, &self.link_down),
            unwanted: add(sum.unwanted, &self.unwanted),
            no_room: add(sum.no_room, &self.no_room),
            malformed: add(sum.malformed, &self.malformed),
            refused: add(sum.refused, &self.refused),
        }
    }
}

impl Total {
    /// Returns how many frames were dropped, except for those for other addresses.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.link_down + self.no_room + self.malformed + self.refused
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, sent } = self;
        write!(f, "received {received}; sent {sent}")
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.frames == 1 { "" } else { "s" };
        write!(f, "{} frame{plural}, {}, {} dropped", self.frames, Rounded(self.bytes), self.dropped())
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

#[cfg(test)]
#[path = "counters_test.rs"]
mod tests;
