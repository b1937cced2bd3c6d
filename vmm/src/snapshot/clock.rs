//! The guest's clocks: kvm-clock, the TSC that it is told by, and the time that passed.

use std::time::{SystemTime, UNIX_EPOCH};

use kvm_bindings::{KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_HOST_TSC, KVM_CLOCK_REALTIME, kvm_clock_data};
use kvm_ioctls::VmFd;
use serde::{Deserialize, Serialize};

use super::error::StateError;
use crate::vm::kvm;

/// The guest's kvm-clock at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Clock {
    /// Its nanoseconds.
    nanoseconds: u64,
    /// The host's time then, in nanoseconds since 1970.
    realtime: u64,
    /// The host's TSC then, if KVM's clock is made of that.
    host_tsc: Option<u64>,
}

/// The time from when a machine was saved until it is there again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    nanoseconds: u64,
    /// The host's TSCs, then and now; none if KVM does not tell both.
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

    /// Has the clock go on from where it would be by now: time goes on for a guest that is saved as for one that is paused. If the host's time is
    /// behind that of the saving, the clock goes on where it was, and never back.
    ///
    /// Linux, "Generic vcpu interface", "KVM_VCPU_TSC_OFFSET": the TSC's offsets follow from what KVM makes of this.
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
    /// The cycles that passed at a rate.
    pub(super) fn cycles(&self, khz: u32) -> u64 {
        let cycles = u128::from(self.nanoseconds) * u128::from(khz) / 1_000_000;
        u64::try_from(cycles).unwrap_or(u64::MAX)
    }

    /// The difference that is added to a TSC offset, modulo 2^64, if the offset can be known.
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
