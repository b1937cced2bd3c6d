//! A source: something that the main thread listens to, with descriptors of its own.

use std::{os::fd::RawFd, time::Instant};

use devices::output::Output;
use event_manager::Events;

use crate::link::{Attached, Command, News};

/// Something that the main thread listens to. None of its methods may block.
pub(super) trait Source {
    /// The descriptors to watch, and for what, until another method is called.
    fn watches(&mut self) -> Vec<Events>;

    /// Serves one of its descriptors, which was ready: a method called since may have taken what there was.
    fn ready(&mut self, fd: RawFd, requests: &mut Vec<Request>);

    /// The time at which [`Source::on_time`] is due; none if only descriptors matter.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Does what was due.
    fn on_time(&mut self, _requests: &mut Vec<Request>) {}

    /// Takes note of what concerns more than one source.
    fn hear(&mut self, _notice: &Notice<'_>) {}

    /// The output that is to be sent before nvmm ends.
    fn output(&self) -> Option<Output> {
        None
    }
}

/// A request of a source.
#[derive(Debug)]
pub(super) enum Request {
    /// That the machine obeys.
    Obey(Command),
    /// The end, by a signal. SIGTERM asks the guest first.
    Signal(i32),
    /// The end, by a key.
    Quit,
    /// That nvmm is stopped, as the user's shell wants it.
    Suspend,
    /// That nvmm goes on after it was stopped.
    Continue,
    /// Nothing: the machine's thread tells something.
    News(News),
    /// That nvmm ends now, with this status.
    End(u8),
}

/// News for all sources.
#[derive(Debug)]
pub(super) enum Notice<'a> {
    /// A machine runs; these are its parts that the main thread serves.
    Runs(&'a Attached),
    /// It stops. Nothing of it may be held after this.
    Stops,
    /// The user wants the end: nobody waits for files any longer.
    Quits,
    /// There will be no other machine: what is still to be sent is sent.
    Leaves,
    /// nvmm is about to be stopped, and somebody else has the terminal.
    Suspends,
    /// nvmm goes on.
    Continues,
}
