//! A source: an event source of the main thread, with descriptors of its own; and the messages between the sources, the main thread and the
//! machine's thread.

use std::{fmt::Debug, os::fd::RawFd, sync::mpsc::Sender, time::Instant};

use devices::output::Output;
use event_manager::Events;

use crate::{
    attached::Attached,
    exit::Exit,
    questions::{Question, Reply},
    run_state::Change,
};

/// An event source of the main thread. None of its methods may block.
///
/// The thread that opens a source gives it to the main thread: the machine's thread by [`Link::serve`](crate::link::Link::serve), another
/// source by [`Request::Serve`], as a server does with each connection that it accepts. The source is served until [`Source::is_over`], and
/// then dropped.
pub(crate) trait Source: Debug {
    /// The descriptors to watch, and for which events. The main thread calls this after each call of another method. A descriptor that is
    /// left out must stay open until the next call, or until the source is dropped, since epoll has to stop watching it first.
    fn watches(&mut self) -> Vec<Events>;

    /// Serves one of its descriptors, which was ready. A method called since may already have read the data.
    fn ready(&mut self, fd: RawFd, requests: &mut Vec<Request>);

    /// The time at which [`Source::on_time`] is due; none if only descriptors matter.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Does the work that was due.
    fn on_time(&mut self, _requests: &mut Vec<Request>) {}

    /// Receives a notice that concerns more than one source.
    fn hear(&mut self, _notice: &Notice<'_>) {}

    /// Returns whether the source is finished, such as a connection that has ended.
    fn is_over(&self) -> bool {
        false
    }

    /// Returns whether the machine must not start yet, because the user wants it to wait for a peer of this source.
    fn waits_for_peer(&self) -> bool {
        false
    }

    /// The exit status to use instead of the machine's own, `status`, once the machine has ended.
    fn verdict(&self, _status: u8) -> Option<u8> {
        None
    }

    /// The output that must be sent before nvmm ends.
    fn output(&self) -> Option<Output> {
        None
    }
}

/// A request from a source to the main thread.
#[derive(Debug)]
pub(crate) enum Request {
    /// Send a command to the machine.
    Obey(Command),
    /// Serve another source from now on.
    Serve(Box<dyn Source + Send>),
    /// End nvmm, because of a signal. SIGTERM asks the guest to power off first.
    Signal(i32),
    /// End nvmm, because of a key.
    Quit,
    /// End nvmm, because of a client of the control socket.
    Close,
    /// End nvmm, because the guest did not print the expected output.
    Unmet,
    /// Type something on a serial port.
    Type {
        /// The port, 0 for COM1.
        port: usize,
        /// The bytes. The command line limits their number.
        text: Vec<u8>,
    },
    /// Stop the nvmm process, as the user's shell wants it.
    Suspend,
    /// nvmm was continued after it was stopped.
    Continue,
    /// Process news from the machine's thread.
    News(News),
    /// End nvmm now, with this status.
    End(u8),
}

/// A request from the main thread to a machine.
#[derive(Debug)]
pub(crate) enum Command {
    /// Print the totals of the disks' work on stderr.
    Totals,
    /// Save the machine at the place given for its end.
    Save,
    /// Check whether disks have grown, and notify the guest.
    Measure,
    /// Check whether the host's ends of network devices still exist, and notify the guest.
    CheckNetworks,
    /// Do something to the machine, and notify the one who waits for it.
    Control(Control, Option<Reply>),
    /// Answer the question.
    Ask(Question, Reply),
    /// End the machine.
    Quit(Exit),
}

/// A button of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Stop the vCPUs and the devices, if they run.
    Stop,
    /// Go on, if the machine is stopped.
    Continue,
    /// Stop or continue, whichever applies.
    Toggle,
    /// Reset the machine. A stopped machine stays stopped.
    Reset,
    /// Press the power button. If no reply is wanted, news are sent when the guest ignores the button.
    PowerDown,
}

/// News from the machine's thread.
#[derive(Debug)]
pub(crate) enum News {
    /// The machine's sources are ready. The receiver drops the sender once none of them waits for a peer.
    Waits(Sender<()>),
    /// A machine runs, with these parts.
    Runs(Attached),
    /// The machine is being stopped, and receives no input any more.
    Halts,
    /// The machine has stopped. The receiver drops the sender once it holds no part of the machine.
    Stops(Sender<()>),
    /// The machine is gone entirely, and another one may be built. The sender is as for [`News::Stops`].
    Gone(Sender<()>),
    /// The guest has not enabled the power button that was pressed, or is being reset.
    NobodyListens,
    /// The state has changed.
    Changed(Change),
    /// There will be no other machine; nvmm ends with this exit status.
    Ended(u8),
}

/// News for all sources. A source that is added later receives [`Notice::Runs`] of a running machine, and [`Notice::Quits`].
#[derive(Debug)]
pub(crate) enum Notice<'a> {
    /// A machine runs; these are the parts that the main thread serves.
    Runs(&'a Attached),
    /// The machine stops. No source may hold a part of it after this.
    Stops,
    /// The state has changed.
    Changed(&'a Change),
    /// Something is typed on a serial port.
    Types {
        /// The port.
        port: usize,
        /// The typed bytes.
        text: &'a [u8],
    },
    /// nvmm is to end: no source waits for files any longer.
    Quits,
    /// There will be no other machine: send the remaining output.
    Leaves,
    /// nvmm is about to be stopped, and another process gets the terminal.
    Suspends,
    /// nvmm was continued.
    Continues,
}
