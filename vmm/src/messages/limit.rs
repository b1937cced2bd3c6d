//! Limits how often the same message is logged, so that no guest can fill a log.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The number of times that a message may come at once. A list, such as one of all disks, has fewer lines.
const BURST: u32 = 1000;
/// The time after which it may come once more.
const PERIOD: Duration = Duration::from_millis(100);

/// The place in the sources that logs a message: file and line.
pub(super) type Place = (Option<&'static str>, Option<u32>);

/// A token bucket for each message.
#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<BTreeMap<Place, Bucket>>);

#[derive(Debug)]
struct Bucket {
    /// The number of times that the message may still come.
    left: u32,
    /// The time up to which that has been counted.
    since: Instant,
    /// The number of times that it was left out since it last came.
    left_out: u64,
}

impl Limit {
    /// Returns none if the message from `place` must not come at the time `now`; otherwise, how many from there were left out before it.
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
