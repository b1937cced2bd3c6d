use super::*;

#[test]
fn times_are_dates() {
    assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
    assert_eq!(date(1_795_930_211), "2026-11-29 05:30:11 UTC");
    assert_eq!(date(u64::MAX), "18446744073709551615 s after 1970");
}
