use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex},
};

use devices::wakes::Wakes;
use rustix::event::{EventfdFlags, eventfd};

use super::*;
use crate::attached::Attached;

/// Counts how often it was woken.
#[derive(Debug)]
struct Sleeper {
    fd: OwnedFd,
    wakeups: u32,
}

impl Wakes for Sleeper {
    fn wakeup(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn on_wakeup(&mut self) {
        self.wakeups += 1;
    }
}

fn sleeper() -> Arc<Mutex<Sleeper>> {
    Arc::new(Mutex::new(Sleeper { fd: eventfd(0, EventfdFlags::CLOEXEC).unwrap(), wakeups: 0 }))
}

#[test]
fn the_device_whose_time_has_come_is_woken_while_the_machine_runs() {
    let sleepers = [sleeper(), sleeper()];
    let fds = sleepers.each_ref().map(|sleeper| sleeper.lock().unwrap().fd.as_raw_fd());
    let mut wakeups = Wakeups::default();
    assert!(wakeups.watches().is_empty());
    let wakers = sleepers.iter().map(|sleeper| Waker::new(sleeper.clone())).collect();
    wakeups.hear(&Notice::Runs(&Attached { uarts: Vec::new(), wakers }));
    assert_eq!(wakeups.watches().iter().map(Events::fd).collect::<Vec<_>>(), fds);
    wakeups.ready(fds[1], &mut Vec::new());
    assert_eq!(sleepers.each_ref().map(|sleeper| sleeper.lock().unwrap().wakeups), [0, 1]);
    // No part of a stopping machine is held.
    wakeups.hear(&Notice::Stops);
    assert!(wakeups.watches().is_empty());
    assert!(sleepers.iter().all(|sleeper| Arc::strong_count(sleeper) == 1));
}
