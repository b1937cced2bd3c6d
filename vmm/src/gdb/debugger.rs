//! The machine's side of the debugger, which outlives the machine's resets.

use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use devices::chars::{Access, Address, Listener};
use kvm_bindings::KVM_CAP_SET_GUEST_DEBUG;
use rustix::event::{EventfdFlags, eventfd};

use super::{
    breakpoints::{Breakpoint, Breakpoints},
    request::{Orders, Stop, StopReason, Told},
    stub,
    traps::Trap,
};
use crate::{exit::COULD_NOT, host::Host, link::Link};

/// The longest time that nvmm's end waits until the debugger knows of it.
const GOODBYE: Duration = Duration::from_secs(1);

/// The debugger of a machine, if it has one.
#[derive(Debug, Default)]
pub struct Debugger {
    stub: Option<Stub>,
    session: Option<Session>,
}

/// The way to the stub.
#[derive(Debug)]
struct Stub {
    told: Sender<Told>,
    wake: Arc<OwnedFd>,
    /// Closed once the stub has told of the end.
    over: Receiver<()>,
    /// Its socket, which the stub listens to.
    _listener: Arc<Listener>,
}

/// The time of a debugger, from its attachment to its end.
#[derive(Debug)]
pub(crate) struct Session {
    /// The breakpoints.
    pub(crate) breakpoints: Breakpoints,
    /// The debugger's last orders.
    pub(crate) orders: Orders,
    /// The vCPU that it looks at.
    pub(crate) selected: u32,
    /// KVM can keep interrupts from a vCPU that takes a step.
    pub(crate) block_irq: bool,
    /// The debugger waits for a stop.
    pub(crate) waits: bool,
    /// Stops that came at the same time as one that the debugger was told of.
    pub(crate) pending: VecDeque<Stop>,
}

impl Debugger {
    /// Listens for a debugger of a machine with so many vCPUs.
    ///
    /// # Errors
    ///
    /// This KVM knows no debuggers, another program listens there, the path is too long, or the host refuses.
    pub fn listen(address: &Address, host: &Host, vcpus: u32, link: &Link) -> Result<Self> {
        if host.kvm.check_extension_raw(KVM_CAP_SET_GUEST_DEBUG.into()) <= 0 {
            bail!("--gdb: this host's KVM has no KVM_CAP_SET_GUEST_DEBUG; leave the option out");
        }
        let listener = Listener::new(address, Access::Owner).context("--gdb")?;
        if let Address::Tcp { port: 0, .. } = address {
            log::warn!("the debugger's port is {}", listener.address());
        }
        log::info!("gdb can connect at {}", listener.address());
        let listener = Arc::new(listener);
        let (told, news) = mpsc::channel();
        let (done, over) = mpsc::channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let machine = stub::Machine { events: link.exits(), told: news, wake: Arc::clone(&wake), vcpus };
        stub::start(Arc::clone(&listener), machine, done)?;
        Ok(Self { stub: Some(Stub { told, wake, over, _listener: listener }), session: None })
    }

    /// Tells the debugger that the machine has ended, and that nvmm is about to end with this status.
    pub fn ended(mut self, status: u8) {
        self.end(status);
    }

    fn end(&mut self, status: u8) {
        self.tell(Told::Ended(status));
        if let Some(stub) = self.stub.take() {
            // An error: it has told.
            let _ = stub.over.recv_timeout(GOODBYE);
        }
    }

    /// Begins a session.
    pub(crate) fn attach(&mut self, block_irq: bool) {
        self.session = Some(Session {
            breakpoints: Breakpoints::default(),
            orders: Orders::default(),
            selected: 0,
            block_irq,
            waits: false,
            pending: VecDeque::new(),
        });
    }

    /// The session, if a debugger is there.
    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    /// Ends the session.
    pub(crate) fn detach(&mut self) -> Option<Session> {
        self.session.take()
    }

    /// Tells the debugger, if it waits for that, that the machine has stopped. Otherwise it is told later, if it can't find out.
    pub(crate) fn stopped(&mut self, stop: Stop) {
        let Some(session) = &mut self.session else { return };
        if session.waits {
            session.waits = false;
            session.selected = stop.vcpu;
            self.tell(Told::Stopped(stop));
        } else if let StopReason::Watch(..) = stop.reason {
            // The vCPU is past it. A breakpoint on an instruction is met again.
            session.pending.push_back(stop);
        }
    }

    fn tell(&self, told: Told) {
        if let Some(stub) = &self.stub {
            let _ = stub.told.send(told);
            if let Err(error) = rustix::io::write(&stub.wake, &1_u64.to_ne_bytes()) {
                log::error!("the debugger does not hear: {error}");
            }
        }
    }
}

/// The end of a machine that could not run.
impl Drop for Debugger {
    fn drop(&mut self) {
        self.end(COULD_NOT);
    }
}

impl Session {
    /// The next stop that the debugger has not been told of, if its breakpoint is still there.
    pub(crate) fn next_pending(&mut self) -> Option<Stop> {
        let pending = std::mem::take(&mut self.pending);
        let mut valid: VecDeque<_> = pending
            .into_iter()
            .filter(|stop| match stop.reason {
                StopReason::Watch(address, on) => self.breakpoints.watches(address, on),
                _ => false,
            })
            .collect();
        let next = valid.pop_front();
        self.pending = valid;
        next
    }

    /// The stop that a vCPU's trap is to the debugger.
    pub(crate) fn stop(&self, vcpu: u32, trap: Trap) -> Stop {
        let reason = match trap {
            Trap::Step => StopReason::Step,
            Trap::Patch => StopReason::Software,
            Trap::Register(number) => match self.breakpoints.of_register(number) {
                Some(Breakpoint::Software(_)) => StopReason::Software,
                Some(Breakpoint::Watch { address, on, .. }) => StopReason::Watch(address, on),
                Some(Breakpoint::Hardware(_)) | None => StopReason::Hardware,
            },
        };
        Stop { vcpu, reason }
    }
}
