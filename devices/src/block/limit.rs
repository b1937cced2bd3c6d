//! Limits on a disk's work in a second.

use std::{
    num::NonZeroU64,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const NANOS: u128 = 1_000_000_000;

/// A limit on a disk's requests and bytes a second, shared by its queues: two token buckets.
///
/// Each bucket fills at its rate and holds a tenth of a second's worth: that much can be spent at once after a pause. A request is let
/// through while neither bucket is empty, whatever its cost, and its whole cost is taken out. So even a request that is larger than the
/// bucket gets through, and later ones wait until it is paid for. Over any time `t`, less than `rate * (t + 1/10 s)` and one request get
/// through.
#[derive(Debug)]
pub(crate) struct Limiter(Mutex<State>);

#[derive(Debug)]
struct State {
    requests: Option<Bucket>,
    bytes: Option<Bucket>,
    /// The time up to which the buckets have been filled.
    filled: Option<Instant>,
}

/// Tokens, counted in billionths, so that each nanosecond adds a whole number of them: the rate.
#[derive(Debug)]
struct Bucket {
    /// Tokens a second.
    rate: NonZeroU64,
    /// Billionths of a token; below 0 after a request that cost more than there was.
    level: i128,
}

impl Limiter {
    /// Makes a limit of `iops` requests and `bytes` bytes a second, each if given. Both buckets are full.
    pub(crate) fn new(iops: Option<NonZeroU64>, bytes: Option<NonZeroU64>) -> Self {
        Self(Mutex::new(State {
            requests: iops.map(Bucket::new),
            bytes: bytes.map(Bucket::new),
            filled: None,
        }))
    }

    /// Lets a request for `bytes` bytes through at the time `now`, and charges for it.
    ///
    /// # Errors
    ///
    /// The request has to wait, and nothing is charged: the time, more than 0, until it would get through if there were no other.
    pub(crate) fn take(&self, now: Instant, bytes: u64) -> Result<(), Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { requests, bytes: volume, filled } = &mut *state;
        // Another queue may have read the clock later, but got here first.
        let since = filled.map_or(Duration::ZERO, |filled| now.saturating_duration_since(filled));
        *filled = Some(filled.map_or(now, |filled| filled.max(now)));
        let mut buckets = [(requests.as_mut(), 1), (volume.as_mut(), bytes)];
        for (bucket, _) in &mut buckets {
            if let Some(bucket) = bucket {
                bucket.fill(since);
            }
        }
        let waits = buckets.iter().filter_map(|(bucket, _)| bucket.as_ref()?.wait());
        match waits.max() {
            Some(wait) => Err(wait),
            None => {
                for (bucket, cost) in buckets {
                    if let Some(bucket) = bucket {
                        bucket.level -= units(cost);
                    }
                }
                Ok(())
            }
        }
    }
}

impl Bucket {
    fn new(rate: NonZeroU64) -> Self {
        let mut bucket = Self { rate, level: 0 };
        bucket.level = bucket.capacity();
        bucket
    }

    /// A tenth of a second's worth.
    fn capacity(&self) -> i128 {
        units(self.rate.get()) / 10
    }

    fn fill(&mut self, since: Duration) {
        let gained = since.as_nanos().saturating_mul(self.rate.get().into());
        let gained = i128::try_from(gained).unwrap_or(i128::MAX);
        self.level = self.level.saturating_add(gained).min(self.capacity());
    }

    /// The time until the bucket has something in it; `None` if it has something now.
    fn wait(&self) -> Option<Duration> {
        if self.level > 0 {
            return None;
        }
        let lacking = self.level.unsigned_abs() + 1;
        let nanos = lacking.div_ceil(self.rate.get().into());
        let seconds = u64::try_from(nanos / NANOS).unwrap_or(u64::MAX);
        Some(Duration::new(seconds, u32::try_from(nanos % NANOS).unwrap_or_default()))
    }
}

/// A number of tokens, in billionths.
fn units(tokens: u64) -> i128 {
    i128::from(tokens) * 1_000_000_000
}

#[cfg(test)]
#[path = "limit_test.rs"]
mod tests;
