//! The descriptors of one back end, watched through a single one that stays the same.

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

/// An epoll instance, which is readable while one of its descriptors or its timer is. It doesn't tell which one: a back end's few
/// descriptors never block, and can simply be tried.
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

    /// Begins to watch `fd`.
    pub(super) fn add(&self, fd: impl AsFd, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(0), flags)?)
    }

    /// Changes the events for which `fd` is watched.
    pub(super) fn modify(&self, fd: impl AsFd, flags: EventFlags) {
        // It can't fail for a descriptor that is watched.
        let _ = epoll::modify(&self.epoll, fd, EventData::new_u64(0), flags);
    }

    /// No longer watches `fd`. Closing it is not enough if the thread of an output has it open as well.
    pub(super) fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Makes this readable after `time`.
    pub(super) fn wake_in(&self, time: Duration) {
        // A time of zero would disarm the timer.
        let it_value = Timespec::try_from(time.max(Duration::from_nanos(1))).unwrap_or_default();
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        // It can't fail with these arguments.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
    }

    /// Returns, once, whether the time of [`Watch::wake_in`] is over.
    pub(super) fn is_time(&self) -> bool {
        rustix::io::read(&self.timer, &mut [0_u8; 8]).is_ok()
    }
}
