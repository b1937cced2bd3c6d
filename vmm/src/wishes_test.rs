use libc::{SIGINT, SIGTERM};

use super::*;

const GRACE: Duration = Duration::from_secs(60);

fn after(start: Instant, milliseconds: u64) -> Instant {
    start + Duration::from_millis(milliseconds)
}

#[test]
fn the_first_sigterm_asks_and_a_later_one_ends() {
    let start = Instant::now();
    let mut wishes = Wishes::new(GRACE);
    assert_eq!(wishes.deadline(), None);
    assert_eq!(wishes.signal(SIGTERM, start, true), Wish::PowerOff);
    assert_eq!(wishes.deadline(), Some(start + GRACE));
    for at in [0, 30, 999] {
        assert_eq!(wishes.signal(SIGTERM, after(start, at), true), Wish::Same);
    }
    assert_eq!(wishes.signal(SIGTERM, after(start, 1000), true), Wish::End);
    assert_eq!(wishes.deadline(), Some(start + GRACE), "as it was");
}

#[test]
fn another_signal_is_another_wish() {
    let start = Instant::now();
    let mut wishes = Wishes::new(GRACE);
    assert_eq!(wishes.signal(SIGTERM, start, true), Wish::PowerOff);
    assert_eq!(wishes.signal(SIGINT, start, true), Wish::End);
    assert_eq!(wishes.signal(SIGINT, after(start, 10), true), Wish::Same);
}

#[test]
fn no_guest_is_asked_if_none_can_listen() {
    let start = Instant::now();
    assert_eq!(Wishes::new(GRACE).signal(SIGTERM, start, false), Wish::End);
    assert_eq!(Wishes::new(Duration::ZERO).signal(SIGTERM, start, true), Wish::End);
}
