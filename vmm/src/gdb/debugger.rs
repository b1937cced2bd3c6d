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

/// The longest time for which nvmm's end waits until the debugger has been told.
const GOODBYE: Duration = Duration::from_secs(1);

/// The debugger of a machine, if it has one.
#[derive(Debug, Default)]
pub struct Debugger {
    stub: Option<Stub>,
    session: Option<Session>,
}

/// The connection to the stub.
#[derive(Debug)]
struct Stub {
    told: Sender<Told>,
    wake: Arc<OwnedFd>,
    /// Closed once the stub has told the debugger about the end.
    over: Receiver<()>,
    /// The socket at which the stub listens.
    _listener: Arc<Listener>,
}

/// The session of a debugger, from its attachment to its end.
#[derive(Debug)]
pub(crate) struct Session {
    /// The breakpoints.
    pub(crate) breakpoints: Breakpoints,
    /// The debugger's last orders for vCPUs.
    pub(crate) orders: Orders,
    /// The vCPU that it examines.
    pub(crate) selected: u32,
    /// KVM can block interrupts for a vCPU while it steps.
    pub(crate) block_irq: bool,
    /// The debugger is waiting for a stop.
    pub(crate) waits: bool,
    /// Stops that happened at the same time as the one that was reported to the debugger.
    pub(crate) pending: VecDeque<Stop>,
}

impl Debugger {
    /// Listens for a debugger of a machine with this number of vCPUs.
    ///
    /// # Errors
    ///
    /// This KVM does not support debugging, another program listens there, the path is too long, or the host refuses.
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

    /// Tells the debugger that the machine has ended, and that nvmm will end with this status.
    pub fn ended(mut self, status: u8) {
        self.end(status);
    }

    fn end(&mut self, status: u8) {
        self.tell(Told::Ended(status));
        if let Some(stub) = self.stub.take() {
            // It fails only if the debugger has been told.
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

    /// The session, if a debugger is attached.
    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    /// Ends the session.
    pub(crate) fn detach(&mut self) -> Option<Session> {
        self.session.take()
    }

    /// Reports to the debugger that the machine has stopped, if it is waiting for that. Otherwise the stop is reported later, unless the
    /// debugger can see it itself.
    pub(crate) fn stopped(&mut self, stop: Stop) {
        let Some(session) = &mut self.session else { return };
        if session.waits {
            session.waits = false;
            session.selected = stop.vcpu;
            self.tell(Told::Stopped(stop));
        } else if let StopReason::Watch(..) = stop.reason {
            // The vCPU is past it. A breakpoint on an instruction will be hit again.
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

/// Ends the stub of a machine that could not run.
impl Drop for Debugger {
    fn drop(&mut self) {
        self.end(COULD_NOT);
    }
}

impl Session {
    /// The next stop to report to the debugger, if its breakpoint is still set.
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

    /// The stop that a vCPU's trap means for the debugger.
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
