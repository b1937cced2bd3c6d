//! The host's clocks, for devices that give the time and wait for it.

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

/// A clock with an alarm.
pub trait Timer: Send + Debug {
    /// The time since the clock's origin.
    fn now(&self) -> Duration;

    /// Makes [`Timer::fd`] readable from `at` on, and unreadable until then; without `at`, unreadable for good.
    fn set(&mut self, at: Option<Duration>);

    /// The descriptor that becomes readable. Don't read it: [`Timer::set`] makes it unreadable.
    fn fd(&self) -> BorrowedFd<'_>;
}

/// A clock of the host with its timerfd.
#[derive(Debug)]
pub struct HostTimer {
    clock: ClockId,
    flags: TimerfdTimerFlags,
    timer: OwnedFd,
}

impl HostTimer {
    /// The time of day in UTC, since the start of 1970. If the host's clock is set, the descriptor becomes readable at once, since the
    /// alarm's time may have passed.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn utc() -> io::Result<Self> {
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        Self::new(ClockId::Realtime, TimerfdClockId::Realtime, flags)
    }

    /// A clock that is never set.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
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
            // A time of zero would disarm the timer.
            Some(at) => Timespec::try_from(at.max(Duration::from_nanos(1))).unwrap_or_default(),
            None => Timespec::default(),
        };
        let once = Itimerspec { it_interval: Timespec::default(), it_value: at };
        // The only error means that the clock was set since the last time. The timer is set nevertheless.
        let _cancelled = timerfd_settime(&self.timer, self.flags, &once);
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
#[path = "timer_test.rs"]
mod tests;
