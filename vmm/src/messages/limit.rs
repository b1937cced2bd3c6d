//! A limit on how often nvmm says one thing, so that no guest fills a log.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The number of times that a message may come at once. A list, such as that of all disks, has fewer lines.
const BURST: u32 = 1000;
/// After so long, it may come once more.
const PERIOD: Duration = Duration::from_millis(100);

/// The place in the sources where a message is said: file and line.
pub(super) type Place = (Option<&'static str>, Option<u32>);

/// A token bucket for each message.
#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<BTreeMap<Place, Bucket>>);

#[derive(Debug)]
struct Bucket {
    /// The number of times that the message may still come.
    left: u32,
    /// The time up to which that is counted.
    since: Instant,
    /// The number of times that it did not come since it last did.
    left_out: u64,
}

impl Limit {
    /// Returns whether the message from `place` may come at the time `now`: and if so, how many from there were left out before it.
    pub(super) fn take(&self, place: Place, now: Instant) -> Option<u64> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(place).or_insert(Bucket { left: BURST, since: now, left_out: 0 });
        let periods = now.saturating_duration_since(bucket.since).as_nanos() / PERIOD.as_nanos();
        let gained = u32::try_from(periods).unwrap_or(u32::MAX);
        if gained > 0 {
            bucket.left = bucket.left.saturating_add(gained).min(BURST);
            bucket.since = bucket.since.checked_add(PERIOD.saturating_mul(gained)).unwrap_or(now).min(now);
        }
        let Some(left) = bucket.left.checked_sub(1) else {
            bucket.left_out += 1;
            return None;
        };
        bucket.left = left;
        Some(std::mem::take(&mut bucket.left_out))
    }
}

#[cfg(test)]
#[path = "limit_test.rs"]
mod tests;
