//! Signals as an event source: each becomes a request.

use std::{fs::File, os::fd::RawFd};

use event_manager::{EventSet, Events};

use crate::{
    signals::{Signal, Signals},
    source::{Command, Request, Source},
    terminal,
};

/// The signals, and what decides about a hang-up.
#[derive(Debug)]
pub(super) struct SignalSource {
    signals: Signals,
    /// nvmm was started with SIGHUP ignored (`nohup`), to survive its terminal.
    survives_hang_up: bool,
    /// The terminal on which nvmm was started, whatever stdin is. It is open from the start, as nothing can be opened later.
    terminal: Option<File>,
}

impl SignalSource {
    /// Listens to `signals`.
    pub(super) fn new(signals: Signals) -> Self {
        Self {
            signals,
            survives_hang_up: terminal::is_ignored(libc::SIGHUP),
            terminal: terminal::controlling(),
        }
    }

    fn request(&self, signal: Signal) -> Option<Request> {
        match signal.number {
            libc::SIGUSR1 => Some(Request::Obey(Command::Totals)),
            libc::SIGUSR2 => Some(Request::Obey(Command::Save)),
            libc::SIGHUP if !self.terminal_closed(signal) => Some(Request::Obey(Command::Measure)),
            libc::SIGHUP if self.survives_hang_up => None,
            libc::SIGTSTP => Some(Request::Suspend),
            libc::SIGCONT => Some(Request::Continue),
            number => Some(Request::Signal(number)),
        }
    }

    /// Returns whether a SIGHUP means that the terminal is gone. It may come from a shell, which passes it on to its jobs.
    fn terminal_closed(&self, signal: Signal) -> bool {
        signal.from_kernel || self.terminal.as_ref().is_some_and(|terminal| !terminal::is_there(terminal))
    }
}

impl Source for SignalSource {
    fn watches(&mut self) -> Vec<Events> {
        vec![Events::new(&self.signals, EventSet::IN)]
    }

    fn ready(&mut self, _: RawFd, requests: &mut Vec<Request>) {
        while let Some(signal) = self.signals.next() {
            requests.extend(self.request(signal));
        }
    }
}
