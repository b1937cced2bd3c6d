//! The descriptors of one back end, watched through one that stays the same.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

/// An epoll instance, readable while one of its descriptors has something, and a timer among them. Nobody asks which one it is: each
/// of a back end's few descriptors never blocks and can simply be tried.
#[derive(Debug)]
pub(super) struct Watch {
    epoll: OwnedFd,
    timer: OwnedFd,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, EventData::new_u64(0), EventFlags::IN)?;
        Ok(Self { epoll, timer })
    }

    /// The descriptor to watch.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Watches `fd`, which is not watched yet.
    pub(super) fn add(&self, fd: impl AsFd, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(0), flags)?)
    }

    /// Watches `fd` for something else.
    pub(super) fn modify(&self, fd: impl AsFd, flags: EventFlags) {
        // Only what is watched can come here.
        let _ = epoll::modify(&self.epoll, fd, EventData::new_u64(0), flags);
    }

    /// No longer watches `fd`. Closing it is not enough where the thread of an output has it, too.
    pub(super) fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Makes this readable after `time`.
    pub(super) fn wake_in(&self, time: Duration) {
        // No time at all would disarm it.
        let it_value = Timespec::try_from(time.max(Duration::from_nanos(1))).unwrap_or_default();
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        // Its arguments are right.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
    }

    /// Returns whether the time of [`Watch::wake_in`] is over. It says so once.
    pub(super) fn is_time(&self) -> bool {
        rustix::io::read(&self.timer, &mut [0_u8; 8]).is_ok()
    }
}
