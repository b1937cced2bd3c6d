//! The pauses of a machine that runs.

use std::time::{Duration, Instant};

use crate::exit::Exit;

/// The pause of a machine, if it is paused, and the length of those before.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    since: Option<Instant>,
    over: Duration,
    /// The devices are stopped, too.
    devices: bool,
    /// The end that a vCPU asked for as it was stopped: a reset, for example. It waits for the user to let the machine go on.
    held: Option<Exit>,
}

impl Pauses {
    /// Begins a pause.
    pub(super) fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Notes that the devices are stopped, too.
    pub(super) fn stop_devices(&mut self) {
        self.devices = true;
    }

    /// Returns whether the devices are stopped, and are to go on.
    pub(super) fn resume_devices(&mut self) -> bool {
        std::mem::take(&mut self.devices)
    }

    /// Returns whether the machine is paused.
    pub(super) fn is_paused(&self) -> bool {
        self.since.is_some()
    }

    /// Keeps an end that a vCPU asked for, the first one, until the pause is over.
    pub(super) fn hold(&mut self, exit: Exit) {
        self.held.get_or_insert(exit);
    }

    /// Returns whether such an end waits.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Ends the pause. Returns the end that waited for it, if any.
    pub(super) fn end(&mut self) -> Option<Exit> {
        self.over = self.total();
        self.since = None;
        self.held.take()
    }

    /// Returns how long the machine has been paused in all.
    pub(super) fn total(&self) -> Duration {
        self.over + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
