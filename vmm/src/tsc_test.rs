use super::*;

#[test]
fn a_rate_within_250_millionths_is_the_hosts() {
    for (wanted, near) in
        [(2_000_000, true), (2_000_500, true), (1_999_500, true), (2_000_501, false), (1_999_499, false)]
    {
        assert_eq!(is_near(wanted, 2_000_000), near, "{wanted}");
    }
    assert!(!is_near(2_000_000, 0));
    assert!(!is_near(u32::MAX, 1));
}
