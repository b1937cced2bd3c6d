//! The host's clocks, for devices that tell the time and wait for it.

use std::{
    fmt::Debug,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// A clock, with one moment of it to wait for.
pub trait Timer: Send + Debug {
    /// The time since the clock's origin.
    fn now(&self) -> Duration;

    /// Makes [`Timer::fd`] readable from `at` on, and unreadable until then; without it, for ever.
    fn set(&mut self, at: Option<Duration>);

    /// The descriptor that becomes readable. It is never read: [`Timer::set`] makes it unreadable.
    fn fd(&self) -> BorrowedFd<'_>;
}

/// A clock of the host, and a timerfd by it.
#[derive(Debug)]
pub struct HostTimer {
    clock: ClockId,
    flags: TimerfdTimerFlags,
    timer: OwnedFd,
}

impl HostTimer {
    /// The time of day in UTC, since the start of 1970. If somebody sets the host's clock, the descriptor becomes readable at once,
    /// since what is waited for may be over.
    ///
    /// # Errors
    ///
    /// There is no descriptor left.
    pub fn utc() -> io::Result<Self> {
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        Self::new(ClockId::Realtime, TimerfdClockId::Realtime, flags)
    }

    /// A clock that nobody sets.
    ///
    /// # Errors
    ///
    /// There is no descriptor left.
    pub fn monotonic() -> io::Result<Self> {
        Self::new(ClockId::Monotonic, TimerfdClockId::Monotonic, TimerfdTimerFlags::ABSTIME)
    }

    fn new(clock: ClockId, by: TimerfdClockId, flags: TimerfdTimerFlags) -> io::Result<Self> {
        let timer = timerfd_create(by, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Self { clock, flags, timer })
    }
}

impl Timer for HostTimer {
    fn now(&self) -> Duration {
        Duration::try_from(clock_gettime(self.clock)).unwrap_or_default()
    }

    fn set(&mut self, at: Option<Duration>) {
        let at = match at {
            // The clock's origin itself would disarm the timer.
            Some(at) => Timespec::try_from(at.max(Duration::from_nanos(1))).unwrap_or_default(),
            None => Timespec::default(),
        };
        let once = Itimerspec { it_interval: Timespec::default(), it_value: at };
        // The one error that there is: somebody has set the clock since the last time. The timer is set all the same.
        let _cancelled = timerfd_settime(&self.timer, self.flags, &once);
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
#[path = "timer_test.rs"]
mod tests;
