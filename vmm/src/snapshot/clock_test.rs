use super::*;

/// The guest's TSC is the host's plus the offset: it must be its saved value plus the cycles that have passed.
#[test]
fn a_guests_tsc_goes_on_though_the_hosts_began_anew() {
    let khz = 2_000_000;
    for now in [5_000_000_000_u64, 7_000] {
        let passed = Passed { nanoseconds: 3_000_000_000, tscs: Some((1_000_000_000, now)) };
        let (offset, then) = (u64::MAX - 41, 1_000_000_000_u64);
        let before = then.wrapping_add(offset);
        let after = now.wrapping_add(offset.wrapping_add(passed.tsc_shift(khz).unwrap()));
        assert_eq!(after, before + 6_000_000_000);
    }
}

#[test]
fn without_the_hosts_tsc_there_is_no_shift() {
    let passed = Passed { nanoseconds: u64::MAX, tscs: None };
    assert_eq!(passed.tsc_shift(1), None);
    // Absurd times do not overflow.
    assert_eq!(passed.cycles(u32::MAX), u64::MAX);
}
