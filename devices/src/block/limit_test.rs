use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);

fn limiter(iops: u64, bytes: u64) -> Limiter {
    Limiter::new(NonZeroU64::new(iops), NonZeroU64::new(bytes))
}

/// The number of requests of `bytes` that the limit allows at `now`, up to 1,000,000.
fn burst(limiter: &Limiter, now: Instant, bytes: u64) -> usize {
    (0..1_000_000).take_while(|_| limiter.take(now, bytes).is_ok()).count()
}

#[test]
fn no_limit_holds_nothing_back() {
    let (limiter, now) = (limiter(0, 0), Instant::now());
    assert_eq!(burst(&limiter, now, u64::MAX), 1_000_000);
}

#[test]
fn a_tenth_of_a_second_is_let_through_at_once() {
    let (limiter, start) = (limiter(1000, 0), Instant::now());
    assert_eq!(burst(&limiter, start, 4096), 100);
    assert_eq!(limiter.take(start, 4096), Err(NS), "something in the bucket is enough");
    assert_eq!(limiter.take(start + NS, 4096), Ok(()));
    assert_eq!(limiter.take(start + NS, 4096), Err(MS));
    assert_eq!(burst(&limiter, start + Duration::from_secs(100), 4096), 100, "a pause is no credit");
}

#[test]
fn a_slow_limit_is_one_request_at_a_time() {
    let (limiter, start) = (limiter(1, 0), Instant::now());
    assert_eq!(burst(&limiter, start, 0), 1);
    assert_eq!(limiter.take(start, 0), Err(900 * MS + NS));
    assert_eq!(burst(&limiter, start + 900 * MS + NS, 0), 1);
}

#[test]
fn a_request_larger_than_the_bucket_passes_and_is_paid_for_after() {
    let (limiter, start) = (limiter(0, 1000), Instant::now());
    assert_eq!(limiter.take(start, 10_000), Ok(()));
    let wait = 9900 * MS + NS;
    assert_eq!(limiter.take(start, 0), Err(wait), "also what costs nothing keeps its place");
    assert_eq!(limiter.take(start + wait - NS, 1), Err(NS));
    assert_eq!(limiter.take(start + wait, 1), Ok(()));
}

#[test]
fn both_limits_hold_and_a_refused_request_is_charged_to_neither() {
    let (limiter, start) = (limiter(10, 1_000_000), Instant::now());
    assert_eq!(burst(&limiter, start, 100_000), 1, "the bytes are spent, and so is the request");
    assert_eq!(limiter.take(start, 100_000), Err(NS), "both are at 0");
    assert_eq!(limiter.take(start + NS, 0), Ok(()));
    for _ in 0..10 {
        assert_eq!(limiter.take(start + NS, 500_000), Err(100 * MS));
    }
    assert_eq!(limiter.take(start + NS + 100 * MS, 500_000), Ok(()));
    assert_eq!(limiter.take(start + NS + 100 * MS, 0), Err(400 * MS + NS), "now bytes are what lacks");
}

#[test]
fn a_clock_that_was_read_earlier_changes_nothing() {
    let (limiter, start) = (limiter(1000, 0), Instant::now());
    let later = start + 10 * MS;
    assert_eq!(burst(&limiter, later, 0), 100);
    assert_eq!(limiter.take(start, 0), Err(NS));
    assert_eq!(burst(&limiter, later + MS, 0), 1, "the 10 ms are not counted again");
}

#[test]
fn the_greatest_of_everything() {
    let now = Instant::now();
    let years = Duration::from_secs(1 << 40);
    let slow = limiter(1, 1);
    assert_eq!(slow.take(now, u64::MAX), Ok(()));
    let wait = slow.take(now, u64::MAX).unwrap_err();
    assert_eq!(wait, Duration::from_secs(u64::MAX) - 100 * MS + NS);
    assert_eq!(slow.take(now + years, 0), Err(wait - years));

    let quick = limiter(u64::MAX, u64::MAX);
    assert_eq!(quick.take(now, u64::MAX), Ok(()));
    assert_eq!(quick.take(now, u64::MAX), Err(900 * MS + NS));
    assert_eq!(quick.take(now + years, u64::MAX), Ok(()));
    assert_eq!(quick.take(now + years, u64::MAX), Err(900 * MS + NS));
}

proptest! {
    /// A caller that waits as told gets the rate, no less and no more, whatever the requests are.
    #[test]
    fn the_rate_is_held(
        iops in 1..=1_000_000_u64,
        rate in 1..=1_u64 << 40,
        sizes in prop::collection::vec(0..1_u64 << 32, 1..200),
        pauses in prop::collection::vec(0..1_000_000_000_u64, 1..200),
    ) {
        let limiter = limiter(iops, rate);
        let start = Instant::now();
        let mut now = start;
        let (mut requests, mut bytes, mut waited) = (0_u128, 0_u128, Duration::ZERO);
        for (size, pause) in sizes.iter().zip(pauses.iter().cycle()) {
            if let Err(wait) = limiter.take(now, *size) {
                prop_assert!(wait > Duration::ZERO);
                prop_assert!(wait == NS || limiter.take(now + wait - NS, *size) == Err(NS), "and not sooner");
                now += wait;
                waited += wait;
                prop_assert_eq!(limiter.take(now, *size), Ok(()));
            }
            // The requests that were let through before this one must be paid for by now, except for the burst.
            let paid = (now - start).as_nanos() + NANOS / 10;
            prop_assert!(requests * NANOS < u128::from(iops) * paid);
            prop_assert!(bytes * NANOS < u128::from(rate) * paid);
            requests += 1;
            bytes += u128::from(*size);
            // Every other caller is patient.
            if size % 2 == 1 {
                now += Duration::from_nanos(*pause);
            }
        }
        // No request waits longer than the spent budget requires, plus a nanosecond of rounding each time.
        let spent = (requests * NANOS).div_ceil(iops.into()) + (bytes * NANOS).div_ceil(rate.into());
        prop_assert!(waited.as_nanos() <= spent + requests);
    }
}
