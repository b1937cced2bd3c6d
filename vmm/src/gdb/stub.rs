//! The thread that communicates with a debugger, one at a time.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
};

use devices::{
    chars::Listener,
    threads::{self, Role},
};
use gdbstub::{
    common::Signal,
    conn::Connection,
    stub::{
        DisconnectReason, GdbStub, GdbStubError, MultiThreadStopReason, state_machine::GdbStubStateMachine,
    },
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use super::{
    peer::Peer,
    request::{Request, Stop, StopReason, Told},
    target::{Gone, MachineTarget, kind, tid},
};
use crate::link::Event;

/// The longest packet, which gdb is told: it transfers half as much memory at a time.
const PACKET: usize = 16 << 10;
/// The number of bytes to read at a time.
const READ: usize = 4096;

type StateMachine<'a> = GdbStubStateMachine<'static, MachineTarget<'a>, Peer>;
type Error = GdbStubError<Gone, io::Error>;

/// The stub thread's connection to the machine.
#[derive(Debug)]
pub(super) struct Machine {
    /// The channel for requests to the machine's thread.
    pub(super) events: Sender<Event>,
    /// Notifications about the machine, such as that it has stopped.
    pub(super) told: Receiver<Told>,
    /// Readable when there is a notification.
    pub(super) wake: Arc<OwnedFd>,
    /// The number of its vCPUs.
    pub(super) vcpus: u32,
}

/// The ways in which a session ends.
enum End {
    /// The debugger has detached.
    Detached,
    /// The debugger wants the machine to end.
    Killed,
    /// The connection is broken.
    Died(io::Error),
    /// The debugger sent something that is not gdb's protocol, or that nvmm does not understand.
    Confused(String),
    /// The machine has ended.
    Over,
}

/// Starts the thread. It drops `done` once a debugger has been told of the machine's end.
///
/// # Errors
///
/// The host has no more threads.
pub(super) fn start(listener: Arc<Listener>, machine: Machine, done: Sender<()>) -> io::Result<()> {
    threads::spawn(&Role::Gdb, move || {
        let served = panic::catch_unwind(AssertUnwindSafe(|| machine.serve(&listener)));
        if let Ok(Err(error)) = served {
            log::error!("no debugger can connect any more: {error}");
        }
        // Before the thread that waits for this one continues: the last owner removes the file.
        drop(listener);
        drop(done);
    })?;
    Ok(())
}

impl Machine {
    /// Serves one debugger after another until the machine has ended.
    fn serve(&self, listener: &Listener) -> io::Result<()> {
        loop {
            wait(&[&listener.as_fd(), &self.wake.as_fd()])?;
            if self.is_over() {
                return Ok(());
            }
            let socket = match listener.accept() {
                Ok(Some(socket)) => socket,
                Ok(None) => continue,
                Err(error) => {
                    log::warn!("a debugger can't connect: {error}");
                    std::thread::sleep(std::time::Duration::from_secs(1));
                    continue;
                }
            };
            log::info!("a debugger is attached");
            let target = MachineTarget::new(&self.events, self.vcpus);
            if target.ask(Request::Attach).is_err() {
                return Ok(());
            }
            let session = || self.session(Peer::new(socket), listener);
            let panicked = |_| End::Confused("nvmm can't serve it any more".to_owned());
            let end = panic::catch_unwind(AssertUnwindSafe(session)).unwrap_or_else(panicked);
            match end {
                End::Over => return Ok(()),
                End::Killed => {
                    let _ = target.tell(Request::Kill);
                    // The machine will send a notification when it has ended.
                    wait(&[&self.wake.as_fd()])?;
                    return Ok(());
                }
                End::Detached | End::Died(_) | End::Confused(_) => {}
            }
            let Ok(left) = target.ask(Request::Leave) else { return Ok(()) };
            match (left, end) {
                (Ok(true), end) => log::warn!("{end}: its breakpoints are taken out, and the guest goes on"),
                (_, end @ End::Confused(_)) => log::warn!("{end}"),
                (_, end) => log::info!("{end}"),
            }
        }
    }

    /// Makes `wake` unreadable, before notifications are read.
    fn awake(&self) {
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    /// Returns whether the machine has ended. Notifications of stops are dropped: they are of no use to the next debugger.
    fn is_over(&self) -> bool {
        self.awake();
        self.told.try_iter().any(|told| matches!(told, Told::Ended(_)))
    }

    /// Serves a debugger until it or the machine ends.
    fn session(&self, peer: Peer, listener: &Listener) -> End {
        let mut target = MachineTarget::new(&self.events, self.vcpus);
        let stub = GdbStub::builder(peer).packet_buffer_size(PACKET).build();
        let mut state = match stub {
            Ok(stub) => match stub.run_state_machine(&mut target) {
                Ok(state) => state,
                Err(error) => return End::of(error),
            },
            Err(error) => return End::Confused(error.to_string()),
        };
        loop {
            state = match self.step(state, &mut target, listener) {
                Ok(GdbStubStateMachine::Disconnected(mut gdb)) => {
                    let end = End::by(gdb.get_reason());
                    if let End::Killed = end {
                        answer_kill(gdb.borrow_conn());
                    }
                    return end;
                }
                Ok(state) => state,
                Err(end) => return end,
            };
        }
    }

    /// Waits for an event, and handles it.
    fn step<'a>(
        &self,
        mut state: StateMachine<'a>,
        target: &mut MachineTarget<'a>,
        listener: &Listener,
    ) -> Result<StateMachine<'a>, End> {
        let waiting =
            peer(&mut state).map(|peer| wait(&[&peer.as_fd(), &self.wake.as_fd(), &listener.as_fd()]));
        let [reads, told, another] = match waiting {
            Some(ready) => ready.map_err(End::Died)?,
            None => return Ok(state),
        };
        if told {
            self.awake();
            for told in self.told.try_iter() {
                state = on_told(state, target, told).map_err(End::of)?;
                if let Told::Ended(_) = told {
                    return Err(End::Over);
                }
            }
        }
        if reads {
            let mut bytes = [0; READ];
            let read = peer(&mut state).map(|peer| peer.read(&mut bytes)).transpose().map_err(End::Died)?;
            for &byte in read.flatten().unwrap_or_default() {
                state = on_byte(state, target, byte).map_err(End::of)?;
            }
        }
        // The next one may connect as soon as the last one has gone.
        if another
            && peer(&mut state).is_some_and(|peer| !peer.has_hung_up())
            && let Ok(Some(_)) = listener.accept()
        {
            log::info!("another debugger is refused: one is attached already");
        }
        Ok(state)
    }
}

/// The connection, while there is one.
fn peer<'p>(state: &'p mut StateMachine<'_>) -> Option<&'p mut Peer> {
    match state {
        GdbStubStateMachine::Idle(gdb) => Some(gdb.borrow_conn()),
        GdbStubStateMachine::Running(gdb) => Some(gdb.borrow_conn()),
        GdbStubStateMachine::CtrlCInterrupt(gdb) => Some(gdb.borrow_conn()),
        GdbStubStateMachine::Disconnected(_) => None,
    }
}

/// Answers gdb's `vKill`, which gdbstub leaves unanswered: otherwise gdb would report the end of the connection as an error.
fn answer_kill(peer: &mut Peer) {
    if let Err(error) = peer.write_all(b"$OK#9a").and_then(|()| peer.flush()) {
        log::debug!("the debugger does not hear that the machine ends: {error}");
    }
}

/// Handles a byte from the debugger.
fn on_byte<'a>(
    state: StateMachine<'a>,
    target: &mut MachineTarget<'a>,
    byte: u8,
) -> Result<StateMachine<'a>, Error> {
    let state = match state {
        GdbStubStateMachine::Idle(gdb) => gdb.incoming_data(target, byte)?,
        GdbStubStateMachine::Running(gdb) => gdb.incoming_data(target, byte)?,
        other => other,
    };
    match state {
        GdbStubStateMachine::CtrlCInterrupt(gdb) => {
            // When a machine runs for gdb, it reports its stop.
            if target.tell(Request::Interrupt).is_err() {
                log::debug!("the machine ends as the debugger interrupts it");
            }
            gdb.interrupt_handled(target, None::<MultiThreadStopReason<u64>>)
        }
        other => Ok(other),
    }
}

/// Notifies the debugger, if it is waiting for that.
fn on_told<'a>(
    state: StateMachine<'a>,
    target: &mut MachineTarget<'a>,
    told: Told,
) -> Result<StateMachine<'a>, Error> {
    match (state, told) {
        (GdbStubStateMachine::Running(gdb), Told::Stopped(stop)) => gdb.report_stop(target, reason(stop)),
        (GdbStubStateMachine::Running(gdb), Told::Ended(status)) => {
            gdb.report_stop(target, MultiThreadStopReason::Exited(status))
        }
        (state, _) => Ok(state),
    }
}

/// The reason in gdb's form. gdbstub's own reason for a step names no vCPU.
fn reason(Stop { vcpu, reason }: Stop) -> MultiThreadStopReason<u64> {
    let tid = tid(vcpu);
    match reason {
        StopReason::Step => MultiThreadStopReason::SignalWithThread { tid, signal: Signal::SIGTRAP },
        StopReason::Software => MultiThreadStopReason::SwBreak(tid),
        StopReason::Hardware => MultiThreadStopReason::HwBreak(tid),
        StopReason::Watch(addr, on) => MultiThreadStopReason::Watch { tid, kind: kind(on), addr },
        StopReason::Interrupt => MultiThreadStopReason::SignalWithThread { tid, signal: Signal::SIGINT },
    }
}

impl End {
    fn by(reason: DisconnectReason) -> Self {
        match reason {
            DisconnectReason::Disconnect => Self::Detached,
            DisconnectReason::Kill => Self::Killed,
            DisconnectReason::TargetExited(_) | DisconnectReason::TargetTerminated(_) => Self::Over,
        }
    }

    fn of(error: Error) -> Self {
        if error.is_target_error() {
            return Self::Over;
        }
        if error.is_connection_error()
            && let Some((error, _)) = error.into_connection_error()
        {
            return Self::Died(error);
        }
        Self::Confused("it does not speak gdb's protocol".to_owned())
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detached | Self::Killed | Self::Over => f.write_str("the debugger has detached"),
            Self::Died(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the debugger is gone")
            }
            Self::Died(error) => write!(f, "the debugger is gone ({error})"),
            Self::Confused(why) => write!(f, "the debugger is let go: {why}"),
        }
    }
}

/// Waits until one of them is readable. Returns the readable ones.
fn wait<const N: usize>(readable: &[&BorrowedFd<'_>; N]) -> io::Result<[bool; N]> {
    let mut polled = readable.map(|fd| PollFd::new(fd, PollFlags::IN));
    loop {
        match poll(&mut polled, None) {
            Ok(_) => return Ok(polled.map(|fd| !fd.revents().is_empty())),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
