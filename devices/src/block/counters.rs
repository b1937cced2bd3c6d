//! Counts the work of a disk.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::size::Rounded;

/// A kind of request, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// `VIRTIO_BLK_T_IN`; ATA's reads.
    Read,
    /// `VIRTIO_BLK_T_OUT`; ATA's writes.
    Write,
    /// `VIRTIO_BLK_T_FLUSH`; FLUSH CACHE. It has no bytes.
    Flush,
    /// `VIRTIO_BLK_T_DISCARD`; TRIM.
    Discard,
    /// `VIRTIO_BLK_T_WRITE_ZEROES`.
    WriteZeroes,
}

/// The work of a disk: counters for each of its queues. They outlive resets of the machine.
#[derive(Debug)]
pub struct Counters {
    queues: Box<[QueueCounters]>,
}

/// The work of one queue. Queues share neither a cache line nor a pair of lines, which processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct QueueCounters {
    read: Tally,
    written: Tally,
    flushes: Tally,
    discarded: Tally,
    zeroed: Tally,
    errors: AtomicU64,
}

#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// The work of all queues of a disk. Displayed, it is a line for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Reads that succeeded.
    pub read: Total,
    /// Writes that were done.
    pub written: Total,
    /// Flushes that were done.
    pub flushes: u64,
    /// Discards that were done, with the bytes that they named.
    pub discarded: Total,
    /// Writes of zeros that were done, with the bytes that they named.
    pub zeroed: Total,
    /// Requests of any kind that failed. They are in no other counter.
    pub errors: u64,
}

/// Requests of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// The number of requests.
    pub requests: u64,
    /// The bytes that they moved or named.
    pub bytes: u64,
}

impl Counters {
    /// Makes counters, all 0, for `queues` queues, at least one.
    #[must_use]
    pub fn new(queues: u16) -> Self {
        Self { queues: (0..queues.max(1)).map(|_| QueueCounters::default()).collect() }
    }

    /// The counters of queue `index`. A queue beyond `queues` shares the counters of another.
    #[must_use]
    pub fn queue(&self, index: u16) -> &QueueCounters {
        &self.queues[usize::from(index) % self.queues.len()]
    }

    /// The sum over all queues. Requests that are counted meanwhile may be missing.
    #[must_use]
    pub fn total(&self) -> Totals {
        self.queues.iter().fold(Totals::default(), |sum, queue| Totals {
            read: queue.read.add_to(sum.read),
            written: queue.written.add_to(sum.written),
            flushes: queue.flushes.add_to(Total { requests: sum.flushes, bytes: 0 }).requests,
            discarded: queue.discarded.add_to(sum.discarded),
            zeroed: queue.zeroed.add_to(sum.zeroed),
            errors: sum.errors.wrapping_add(queue.errors.load(Ordering::Relaxed)),
        })
    }
}

/// Makes counters for one queue.
impl Default for Counters {
    fn default() -> Self {
        Self::new(1)
    }
}

impl QueueCounters {
    /// Counts a request that moved or named `bytes`, or failed.
    pub fn record(&self, kind: RequestKind, bytes: u64, ok: bool) {
        if !ok {
            self.errors.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let tally = match kind {
            RequestKind::Read => &self.read,
            RequestKind::Write => &self.written,
            RequestKind::Flush => &self.flushes,
            RequestKind::Discard => &self.discarded,
            RequestKind::WriteZeroes => &self.zeroed,
        };
        tally.requests.fetch_add(1, Ordering::Relaxed);
        tally.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Tally {
    fn add_to(&self, sum: Total) -> Total {
        Total {
            requests: sum.requests.wrapping_add(self.requests.load(Ordering::Relaxed)),
            bytes: sum.bytes.wrapping_add(self.bytes.load(Ordering::Relaxed)),
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, written, flushes, discarded, zeroed, errors } = self;
        write!(
            f,
            "read {read}; written {written}; {flushes} flush{}",
            if *flushes == 1 { "" } else { "es" }
        )?;
        write!(f, "; discarded {discarded}; zeroed {zeroed}; {errors} error{}", plural(*errors))
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, bytes } = *self;
        write!(f, "{requests} request{}, {}", plural(requests), Rounded(bytes))
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
#[path = "counters_test.rs"]
mod tests;
