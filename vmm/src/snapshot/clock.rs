//! The guest's clocks: kvm-clock, its TSC, and the time that has passed since the snapshot.

use std::time::{SystemTime, UNIX_EPOCH};

use kvm_bindings::{KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_HOST_TSC, KVM_CLOCK_REALTIME, kvm_clock_data};
use kvm_ioctls::VmFd;
use serde::{Deserialize, Serialize};

use super::error::StateError;
use crate::vm::kvm;

/// The guest's kvm-clock at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Clock {
    /// The clock's value in nanoseconds.
    nanoseconds: u64,
    /// The host's time at that moment, in nanoseconds since 1970.
    realtime: u64,
    /// The host's TSC at that moment, if KVM derives its clock from it.
    host_tsc: Option<u64>,
}

/// The time between saving a machine and restoring it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    nanoseconds: u64,
    /// The host's TSC at both moments; none if KVM doesn't report both.
    tscs: Option<(u64, u64)>,
}

impl Clock {
    /// Reads the clock.
    pub(super) fn read(vm: &VmFd) -> Result<Self, StateError> {
        let clock = vm.get_clock().map_err(kvm("KVM_GET_CLOCK"))?;
        let told = |flag, value| (clock.flags & flag != 0).then_some(value);
        Ok(Self {
            nanoseconds: clock.clock,
            realtime: told(KVM_CLOCK_REALTIME, clock.realtime).unwrap_or_else(realtime),
            host_tsc: told(KVM_CLOCK_HOST_TSC, clock.host_tsc),
        })
    }

    /// Sets the clock to the value it would have by now: time goes on for a saved guest as for a paused one. If the host's time is before
    /// that of the snapshot, the clock continues at its saved value, and never goes back.
    ///
    /// Linux, "Generic vcpu interface", "KVM_VCPU_TSC_OFFSET": the TSC offsets are computed from the clock that KVM then returns.
    pub(super) fn give(&self, vm: &VmFd) -> Result<Passed, StateError> {
        let knows = vm.check_extension_raw(KVM_CAP_ADJUST_CLOCK.into());
        let adds_time = u32::try_from(knows).unwrap_or_default() & KVM_CLOCK_REALTIME != 0;
        let mut clock = kvm_clock_data { clock: self.nanoseconds, ..Default::default() };
        if adds_time {
            (clock.flags, clock.realtime) = (KVM_CLOCK_REALTIME, self.realtime);
        } else {
            clock.clock = clock.clock.saturating_add(realtime().saturating_sub(self.realtime));
        }
        vm.set_clock(&clock).map_err(kvm("KVM_SET_CLOCK"))?;
        let now = Self::read(vm)?;
        Ok(Passed {
            nanoseconds: now.nanoseconds.saturating_sub(self.nanoseconds),
            tscs: self.host_tsc.zip(now.host_tsc),
        })
    }
}

impl Passed {
    /// The cycles that have passed, at this rate.
    pub(super) fn cycles(&self, khz: u32) -> u64 {
        let cycles = u128::from(self.nanoseconds) * u128::from(khz) / 1_000_000;
        u64::try_from(cycles).unwrap_or(u64::MAX)
    }

    /// The value to add to a TSC offset, modulo 2^64, if it can be computed.
    pub(super) fn tsc_shift(&self, khz: u32) -> Option<u64> {
        let (then, now) = self.tscs?;
        Some(self.cycles(khz).wrapping_add(then).wrapping_sub(now))
    }
}

/// The host's time in nanoseconds since 1970.
fn realtime() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "clock_test.rs"]
mod tests;
