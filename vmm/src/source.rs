//! A source: something that the main thread listens to, with descriptors of its own; and the words between the sources, the main thread
//! and the machine's thread.

use std::{fmt::Debug, os::fd::RawFd, sync::mpsc::Sender, time::Instant};

use devices::output::Output;
use event_manager::Events;

use crate::{
    attached::Attached,
    exit::Exit,
    questions::{Question, Reply},
    run_state::Change,
};

/// Something that the main thread listens to. None of its methods may block.
///
/// Whoever opens one gives it to the main thread: the machine's thread by [`Link::serve`](crate::link::Link::serve), another source by
/// [`Request::Serve`], as a server does with each connection that it takes. It is served until [`Source::is_over`], and then dropped.
pub(crate) trait Source: Debug {
    /// The descriptors to watch, and for what. This is asked after each call of another method. A descriptor that is named no longer stays
    /// open until the next call, or until the source is dropped, since epoll must let go of it first.
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

    /// Returns whether nothing more comes of it, as of a connection that has ended.
    fn is_over(&self) -> bool {
        false
    }

    /// Returns whether the machine is not to start yet: the user wants it to wait for a peer of this source.
    fn waits_for_peer(&self) -> bool {
        false
    }

    /// The exit status that takes the place of the machine's own, `status`, once that has ended.
    fn verdict(&self, _status: u8) -> Option<u8> {
        None
    }

    /// The output that is to be sent before nvmm ends.
    fn output(&self) -> Option<Output> {
        None
    }
}

/// A request of a source.
#[derive(Debug)]
pub(crate) enum Request {
    /// That the machine obeys.
    Obey(Command),
    /// That the main thread serves another source from now on.
    Serve(Box<dyn Source + Send>),
    /// The end, by a signal. SIGTERM asks the guest first.
    Signal(i32),
    /// The end, by a key.
    Quit,
    /// The end, by a client of the control socket.
    Close,
    /// The end, as the guest did not print what it should.
    Unmet,
    /// That this is typed on a serial port: 0 is COM1.
    Type {
        /// The port.
        port: usize,
        /// The bytes. The command line bounds it.
        text: Vec<u8>,
    },
    /// That nvmm is stopped, as the user's shell wants it.
    Suspend,
    /// That nvmm goes on after it was stopped.
    Continue,
    /// Nothing: the machine's thread tells something.
    News(News),
    /// That nvmm ends now, with this status.
    End(u8),
}

/// A request of the main thread to a machine.
#[derive(Debug)]
pub(crate) enum Command {
    /// Say on stderr what was done with the disks.
    Totals,
    /// Save the machine where it is to be saved at its end.
    Save,
    /// Look whether disks have grown, and tell the guest.
    Measure,
    /// Look whether the host's sides of network devices are still there, and tell the guest.
    CheckNetworks,
    /// Do something to the machine, and tell whoever waits for it.
    Control(Control, Option<Reply>),
    /// Answer.
    Ask(Question, Reply),
    /// End.
    Quit(Exit),
}

/// A button of the machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Stop the vCPUs and the devices, if they run.
    Stop,
    /// Go on, if the machine is stopped.
    Continue,
    /// One of the two.
    Toggle,
    /// Reset the machine. One that is stopped stays so.
    Reset,
    /// Press the power button. Without anybody who waits for the answer, the news tell if the guest does not listen to it.
    PowerDown,
}

/// News of the machine's thread.
#[derive(Debug)]
pub(crate) enum News {
    /// The sources of the machine are there. The receiver drops the sender once none of them waits for a peer.
    Waits(Sender<()>),
    /// A machine runs.
    Runs(Attached),
    /// The machine is being stopped, and hears nobody any longer.
    Halts,
    /// The machine has stopped. The receiver drops the sender once it holds none of it.
    Stops(Sender<()>),
    /// All of it is gone, and another one may be built. As for [`News::Stops`].
    Gone(Sender<()>),
    /// The guest has not enabled the power button that was pressed, or is being reset.
    NobodyListens,
    /// Its state has changed.
    Changed(Change),
    /// There will be no other: the exit status.
    Ended(u8),
}

/// News for all sources. One that comes later is told of a machine that runs, and of [`Notice::Quits`].
#[derive(Debug)]
pub(crate) enum Notice<'a> {
    /// A machine runs; these are its parts that the main thread serves.
    Runs(&'a Attached),
    /// It stops. Nothing of it may be held after this.
    Stops,
    /// Its state has changed.
    Changed(&'a Change),
    /// This is typed on a serial port.
    Types {
        /// The port.
        port: usize,
        /// The bytes that are typed.
        text: &'a [u8],
    },
    /// The user wants the end: nobody waits for files any longer.
    Quits,
    /// There will be no other machine: what is still to be sent is sent.
    Leaves,
    /// nvmm is about to be stopped, and somebody else has the terminal.
    Suspends,
    /// nvmm goes on.
    Continues,
}
