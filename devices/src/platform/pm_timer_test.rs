use super::*;
use crate::testing::FakeTimer;

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);
/// The time until a change of bit 31.
const CARRY: u128 = 1 << 31;

fn new() -> (PmTimer, FakeTimer) {
    let clock = FakeTimer::new(Duration::from_secs(12_345));
    (PmTimer::new(Box::new(clock.clone())), clock)
}

#[test]
fn the_timer_runs_at_3_579545_mhz_from_zero() {
    let (timer, clock) = new();
    assert_eq!(timer.value(), 0);
    clock.pass(SECOND);
    assert_eq!(timer.value(), 3_579_545);
    clock.pass(SECOND / 1000);
    assert_eq!(timer.value(), 3_579_545 + 3_579);
    clock.pass(99 * SECOND + SECOND * 999 / 1000);
    assert_eq!(timer.value(), 357_954_500 + 3_579_545, "no rounding adds up");
}

#[test]
fn all_of_its_32_bits_count() {
    let (timer, clock) = new();
    clock.pass(carry(1) - NANOSECOND);
    assert_eq!(timer.value(), (1 << 31) - 1);
    clock.pass(NANOSECOND);
    assert_eq!(timer.value(), 1 << 31);
    clock.pass(carry(2) - carry(1) - NANOSECOND);
    assert_eq!(timer.value(), u32::MAX);
    clock.pass(NANOSECOND);
    assert_eq!(timer.value(), 0);
}

#[test]
fn each_change_of_the_top_bit_is_a_carry() {
    let (mut timer, clock) = new();
    for n in 1..5 {
        clock.set_now(Duration::from_secs(12_345) + carry(n) - NANOSECOND);
        assert!(!timer.has_carried(), "{n}");
        clock.pass(NANOSECOND);
        assert!(timer.has_carried(), "{n}");
        timer.acknowledge();
        assert!(!timer.has_carried(), "{n}");
    }
    // Several overdue carries count as one.
    clock.pass(carry(100));
    timer.acknowledge();
    assert!(!timer.has_carried());
}

#[test]
fn the_timer_wakes_only_for_an_enabled_carry() {
    let (mut timer, clock) = new();
    let at = |n| Some(Duration::from_secs(12_345) + carry(n));
    timer.wake_for_carry(false);
    assert_eq!(clock.at(), None);
    timer.wake_for_carry(true);
    assert_eq!(clock.at(), at(1));
    clock.pass(carry(1));
    timer.on_wakeup();
    timer.wake_for_carry(true);
    assert_eq!(clock.at(), None, "it is pending");
    timer.acknowledge();
    timer.wake_for_carry(true);
    assert_eq!(clock.at(), at(2));
    timer.wake_for_carry(false);
    assert_eq!(clock.at(), None);
}

#[test]
fn carries_are_600_seconds_apart() {
    let expected = CARRY * 1_000_000_000 / 3_579_545;
    assert!((expected..=expected + 1).contains(&carry(1).as_nanos()));
    assert_eq!(carry(1).as_secs(), 599);
}
