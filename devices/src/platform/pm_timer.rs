use std::{os::fd::BorrowedFd, time::Duration};

use super::timer::Timer;

/// Ticks per second.
const FREQUENCY: u128 = 3_579_545;
const SECOND: u128 = 1_000_000_000;
/// The top bit of a timer of 32 bits.
const TOP_BIT: u32 = 31;

/// ACPI 6.5, "Power Management Timer": a read-only counter of 32 bits. A carry is a change of its top bit, which happens every ten minutes.
#[derive(Debug)]
pub(super) struct PmTimer {
    clock: Box<dyn Timer>,
    /// The clock's time at which this began to count.
    start: Duration,
    /// The time that was counted before, in another machine.
    before: Duration,
    /// The number of carries that the guest has acknowledged.
    acknowledged: u64,
    /// The time for which the clock is set.
    waits_until: Option<Duration>,
}

impl PmTimer {
    pub(super) fn new(clock: Box<dyn Timer>) -> Self {
        Self { start: clock.now(), before: Duration::ZERO, clock, acknowledged: 0, waits_until: None }
    }

    /// The time that it has counted, and the number of carries that the guest has acknowledged.
    pub(super) fn save(&self) -> (Duration, u64) {
        (self.elapsed(), self.acknowledged)
    }

    /// Continues from `elapsed`. Returns false if more carries are acknowledged than there were.
    pub(super) fn load(&mut self, elapsed: Duration, acknowledged: u64) -> bool {
        (self.start, self.before, self.acknowledged) = (self.clock.now(), elapsed, acknowledged);
        acknowledged <= self.carries()
    }

    /// The value of the register.
    pub(super) fn value(&self) -> u32 {
        let [low @ .., _, _, _, _] = self.ticks().to_le_bytes();
        u32::from_le_bytes(low)
    }

    /// Returns whether there was a carry since the last [`PmTimer::acknowledge`].
    pub(super) fn has_carried(&self) -> bool {
        self.carries() != self.acknowledged
    }

    pub(super) fn acknowledge(&mut self) {
        self.acknowledged = self.carries();
    }

    /// Makes [`PmTimer::fd`] readable at the next carry, if `wanted` and no carry is pending.
    pub(super) fn wake_for_carry(&mut self, wanted: bool) {
        let next = (wanted && !self.has_carried())
            .then(|| self.start + carry(self.acknowledged + 1).saturating_sub(self.before));
        if std::mem::replace(&mut self.waits_until, next) != next {
            self.clock.set(next);
        }
    }

    /// The descriptor that is readable when [`PmTimer::on_wakeup`] has to be called.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.clock.fd()
    }

    /// Makes the descriptor unreadable.
    pub(super) fn on_wakeup(&mut self) {
        self.waits_until = None;
        self.clock.set(None);
    }

    fn carries(&self) -> u64 {
        self.ticks() >> TOP_BIT
    }

    fn ticks(&self) -> u64 {
        let elapsed = self.elapsed().as_nanos();
        u64::try_from(elapsed.saturating_mul(FREQUENCY) / SECOND).unwrap_or(u64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().saturating_sub(self.start).saturating_add(self.before)
    }
}

/// The time from the start to carry number `n`, rounded up.
fn carry(n: u64) -> Duration {
    let nanoseconds = ((u128::from(n) << TOP_BIT) * SECOND).div_ceil(FREQUENCY);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[path = "pm_timer_test.rs"]
mod tests;
