use super::*;

const HERE: Place = (Some("here.rs"), Some(1));
const THERE: Place = (Some("here.rs"), Some(2));

fn said(limit: &Limit, place: Place, times: usize, now: Instant) -> usize {
    (0..times).filter(|_| limit.take(place, now).is_some()).count()
}

#[test]
fn a_message_comes_a_thousand_times_at_once_and_then_ten_times_a_second() {
    let (limit, start) = (Limit::default(), Instant::now());
    assert_eq!(said(&limit, HERE, 5000, start), 1000);
    assert_eq!(said(&limit, HERE, 5000, start + Duration::from_millis(99)), 0);
    let mut after = 0;
    for millis in 100..=60_000 {
        after += said(&limit, HERE, 10, start + Duration::from_millis(millis));
    }
    assert_eq!(after, 600);
    assert_eq!(
        said(&limit, HERE, 5000, start + Duration::from_secs(3600)),
        1000,
        "and no more than at first"
    );
}

#[test]
fn each_message_has_its_own_limit_and_counts_omissions() {
    let (limit, start) = (Limit::default(), Instant::now());
    assert_eq!(said(&limit, HERE, 1007, start), 1000);
    assert_eq!(limit.take(THERE, start), Some(0));
    assert_eq!(limit.take(HERE, start + PERIOD), Some(7));
    assert_eq!(limit.take(HERE, start + 2 * PERIOD), Some(0));
}

#[test]
fn a_clock_that_stands_still_gives_nothing() {
    let (limit, start) = (Limit::default(), Instant::now());
    assert_eq!(said(&limit, HERE, 1000, start + Duration::from_secs(9)), 1000);
    assert_eq!(limit.take(HERE, start), None);
    assert_eq!(limit.take(HERE, start + Duration::from_secs(9)), None);
}
