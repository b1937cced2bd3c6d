//! The end of nvmm: waits for output that has not been read yet.

use std::{
    io,
    os::fd::RawFd,
    time::{Duration, Instant},
};

use devices::output::Output;
use event_manager::{EventSet, Events};
use vmm_sys_util::eventfd::EventFd;

use crate::source::{Notice, Request, Source};

/// The longest time to wait for a reader that reads nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same, if the user has asked nvmm to end.
const USERS_PATIENCE: Duration = Duration::from_secs(1);
/// The interval for checking whether output is being read.
const LOOK: Duration = Duration::from_millis(100);

/// Unread output, and the status to end with.
#[derive(Debug)]
pub(super) struct Leaving {
    status: u8,
    outputs: Vec<(Output, EventFd)>,
    patience: Duration,
    /// The user is waiting for the end.
    hurry: bool,
    /// The number of bytes read when it last changed, and the time of that.
    seen: (u64, Instant),
    look_at: Instant,
}

impl Leaving {
    /// Sends waiting output. `hurry`: the user is waiting.
    pub(super) fn new(status: u8, outputs: Vec<Output>, hurry: bool) -> io::Result<Self> {
        for output in &outputs {
            output.tell_losses();
        }
        let outputs = outputs
            .into_iter()
            .map(|output| output.finish().map(|event| (output, event)))
            .collect::<io::Result<_>>()?;
        let patience = if hurry { USERS_PATIENCE } else { PATIENCE };
        let now = Instant::now();
        Ok(Self { status, outputs, patience, hurry, seen: (0, now), look_at: now })
    }

    /// The status, once all output is read or its readers have stopped reading.
    fn look(&mut self) -> Option<u8> {
        for (_, event) in &self.outputs {
            // Reading the event makes it unreadable.
            let _ = event.read();
        }
        let now = Instant::now();
        self.look_at = now + LOOK;
        let read = self.outputs.iter().map(|(output, _)| output.read()).sum();
        if read != self.seen.0 {
            self.seen = (read, now);
        }
        let mut left = self.outputs.iter().filter(|(output, _)| !output.is_gone()).peekable();
        if left.peek().is_none() {
            return Some(self.status);
        }
        // A file accepts everything in the end.
        let may_give_up = self.hurry || !left.any(|(output, _)| output.is_lossless());
        let waited = now.saturating_duration_since(self.seen.1);
        (may_give_up && waited >= self.patience).then_some(self.status)
    }
}

impl Source for Leaving {
    /// Each is readable when its output has been sent.
    fn watches(&mut self) -> Vec<Events> {
        self.outputs.iter().map(|(_, event)| Events::new(event, EventSet::IN)).collect()
    }

    fn ready(&mut self, _: RawFd, requests: &mut Vec<Request>) {
        requests.extend(self.look().map(Request::End));
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.look_at)
    }

    fn on_time(&mut self, requests: &mut Vec<Request>) {
        requests.extend(self.look().map(Request::End));
    }

    fn hear(&mut self, notice: &Notice<'_>) {
        if let Notice::Quits = notice {
            self.hurry = true;
            self.patience = USERS_PATIENCE;
        }
    }
}
