//! Signals, as a source: what each of them asks for.

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
    /// Whoever started nvmm wants it to survive its terminal (`nohup`).
    survives_hang_up: bool,
    /// The terminal that nvmm was started on, whatever stdin is. It is open, as nothing can be opened later.
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

    /// Returns whether a SIGHUP says that the terminal is gone. A shell that is told so passes it on to its jobs in its own name.
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
