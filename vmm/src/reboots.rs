//! The decision after a machine's run: another run, or nvmm's end.

use std::{collections::VecDeque, time::Duration};

use crate::{
    args::{OnPanic, OnReboot},
    crash::Reason,
    exit::Exit,
};

/// The number of triple faults or panics within [`WITHIN`] after which nvmm assumes that the guest can't start.
const TOO_MANY: usize = 3;
/// The guest's running time in which they are counted. The time for building the machine doesn't count.
const WITHIN: Duration = Duration::from_secs(10);

/// Decides about resets.
#[derive(Debug)]
pub struct Reboots {
    on_reboot: OnReboot,
    on_panic: Option<OnPanic>,
    /// The total running time of all machines.
    ran: Duration,
    /// The running time at each recent triple fault or panic.
    faults: VecDeque<Duration>,
}

impl Reboots {
    /// For a machine that is reset according to `on_reboot` and `on_panic`.
    #[must_use]
    pub fn new(on_reboot: OnReboot, on_panic: Option<OnPanic>) -> Self {
        Self { on_reboot, on_panic, ran: Duration::ZERO, faults: VecDeque::new() }
    }

    /// Returns whether a machine is paused when its guest panics, instead of ended.
    pub(crate) fn pause_on_panic(&self) -> bool {
        self.on_panic == Some(OnPanic::Pause)
    }

    /// Takes the end of a machine that ran for `ran`. Returns it if nvmm ends with it; otherwise the machine is to be built again.
    ///
    /// A triple fault resets a machine, as on hardware; Linux reboots that way with `reboot=t`. Repeated triple faults mean a guest that
    /// can't start.
    pub fn after(&mut self, exit: Exit, ran: Duration) -> Option<Exit> {
        self.ran += ran;
        match exit {
            Exit::Reset if self.on_reboot == OnReboot::Reset => {
                log::info!("the guest reboots");
                None
            }
            Exit::Restart if self.on_reboot == OnReboot::Reset => {
                log::info!("the machine is reset, as was asked for");
                None
            }
            Exit::Crash(crash)
                if crash.reason == Reason::TripleFault && self.on_reboot == OnReboot::Reset =>
            {
                if self.is_one_too_many() {
                    log::warn!("the third triple fault in {} seconds: no further reset", WITHIN.as_secs());
                    return Some(Exit::Crash(crash));
                }
                log::warn!("{crash}\nThe machine is reset.");
                None
            }
            Exit::Panicked if self.on_panic == Some(OnPanic::Reset) => {
                if self.is_one_too_many() {
                    log::warn!("the third panic in {} seconds: no further reset", WITHIN.as_secs());
                    return Some(Exit::Panicked);
                }
                log::warn!("the guest's kernel panicked; the machine is reset");
                None
            }
            exit => Some(exit),
        }
    }

    /// Counts a triple fault or a panic that happens now. Returns whether there were too many.
    fn is_one_too_many(&mut self) -> bool {
        self.faults.push_back(self.ran);
        let first = self.ran.saturating_sub(WITHIN);
        self.faults.retain(|&fault| fault >= first);
        self.faults.len() >= TOO_MANY
    }
}

#[cfg(test)]
#[path = "reboots_test.rs"]
mod tests;
