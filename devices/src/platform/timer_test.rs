use std::time::SystemTime;

use rustix::event::{PollFd, PollFlags, poll};

use super::*;

/// Returns whether the descriptor is readable within this time.
fn readable(timer: &HostTimer, within: Duration) -> bool {
    let fd = timer.fd();
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::try_from(within).unwrap())).unwrap() == 1
}

const LONG: Duration = Duration::from_secs(60);
const NOT_AT_ALL: Duration = Duration::ZERO;

#[test]
fn the_timer_is_readable_when_it_expires_and_not_after_it_is_set() {
    for mut timer in [HostTimer::utc().unwrap(), HostTimer::monotonic().unwrap()] {
        assert!(!readable(&timer, NOT_AT_ALL));
        let at = timer.now() + Duration::from_millis(20);
        timer.set(Some(at));
        assert!(readable(&timer, LONG), "{timer:?}");
        assert!(timer.now() >= at);
        timer.set(Some(timer.now() + LONG));
        assert!(!readable(&timer, NOT_AT_ALL));
        // A time in the past, including the origin, expires at once.
        for over in [Duration::ZERO, at] {
            timer.set(Some(over));
            assert!(readable(&timer, LONG));
            timer.set(None);
            assert!(!readable(&timer, NOT_AT_ALL));
        }
    }
}

#[test]
fn utc_is_the_hosts_time_of_day() {
    let timer = HostTimer::utc().unwrap();
    let since_1970 = || SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let (before, now, after) = (since_1970(), timer.now(), since_1970());
    // Fails if the clock is set in between.
    assert!(before <= now && now <= after || after < before);
}
