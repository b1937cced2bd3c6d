//! The pauses of a running machine.

use std::time::{Duration, Instant};

use crate::exit::Exit;

/// The current pause of a machine, if there is one, and the total length of earlier ones.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    since: Option<Instant>,
    over: Duration,
    /// The devices are stopped as well.
    devices: bool,
    /// An end that a vCPU requested while it was being stopped, such as a reset. It waits until the user lets the machine continue.
    held: Option<Exit>,
}

impl Pauses {
    /// Begins a pause.
    pub(super) fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Records that the devices are stopped as well.
    pub(super) fn stop_devices(&mut self) {
        self.devices = true;
    }

    /// Returns whether the devices are stopped, and records that they run again.
    pub(super) fn resume_devices(&mut self) -> bool {
        std::mem::take(&mut self.devices)
    }

    /// Returns whether the machine is paused.
    pub(super) fn is_paused(&self) -> bool {
        self.since.is_some()
    }

    /// Keeps the first end that a vCPU requested until the pause is over.
    pub(super) fn hold(&mut self, exit: Exit) {
        self.held.get_or_insert(exit);
    }

    /// Returns whether such an end is waiting.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Ends the pause. Returns the end that was waiting, if any.
    pub(super) fn end(&mut self) -> Option<Exit> {
        self.over = self.total();
        self.since = None;
        self.held.take()
    }

    /// Returns the total time for which the machine has been paused.
    pub(super) fn total(&self) -> Duration {
        self.over + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
