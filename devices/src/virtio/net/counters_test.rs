use super::*;

#[test]
fn each_frame_is_counted_where_it_belongs() {
    let counters = Counters::new(2);
    counters.pair(0).received.passed(60);
    counters.pair(1).received.passed(1514);
    counters.pair(1).sent.passed(42);
    let reasons = [Reason::LinkDown, Reason::Unwanted, Reason::NoRoom, Reason::Malformed, Reason::Refused];
    for (count, reason) in (1..).zip(reasons) {
        (0..count).for_each(|_| counters.pair(0).sent.dropped(reason));
    }
    let Totals { received, sent } = counters.total();
    assert_eq!(received, Total { frames: 2, bytes: 1574, ..Total::default() });
    assert_eq!(
        sent,
        Total { frames: 1, bytes: 42, link_down: 1, unwanted: 2, no_room: 3, malformed: 4, refused: 5 }
    );
    assert_eq!(
        counters.total().to_string(),
        "received 2 frames, 1.5 KiB, 0 dropped; sent 1 frame, 42 bytes, 13 dropped"
    );
}

#[test]
fn a_pair_that_is_none_is_counted_too() {
    let counters = Counters::new(0);
    counters.pair(7).sent.passed(1);
    assert_eq!(counters.total().sent.frames, 1);
}
