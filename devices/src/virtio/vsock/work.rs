//! The thread that serves a socket device.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::{connections::Connections, host::Host};
use crate::{
    printable::ToPrintable,
    threads::Role,
    virtio::serve::{JointHandler, ServeError, Served},
    worker::millis,
};

/// virtio 1.3, "Socket Device", "Virtqueues". The queue of events belongs to [`Events`](super::events::Events).
const RX: u16 = 0;
const TX: u16 = 1;

/// The number of packets after which events are checked again.
const TURN: usize = 256;
/// The number of packets after which the other direction has its turn.
const SHARE: usize = 32;
/// The most programs that are accepted in a turn.
const AT_A_TIME: usize = 16;
/// The pause after an error that will last for a while, such as a full descriptor table.
const PAUSE: Duration = Duration::from_secs(1);

/// The tokens for the listener's events, and for all sources that are simply checked.
const LISTENER: u64 = 1;
const OTHERS: u64 = 0;

/// The handler of all queues.
#[derive(Debug)]
pub(super) struct Work {
    host: Arc<Host>,
    connections: Arc<Mutex<Connections>>,
}

/// Programs that want to connect, as far as is known without checking.
#[derive(Debug)]
enum Incoming {
    Some,
    None,
    /// Programs can't be accepted before this time.
    Later(Instant),
}

impl Work {
    pub(super) fn new(host: Arc<Host>, connections: Arc<Mutex<Connections>>) -> Self {
        Self { host, connections }
    }

    /// Accepts programs of the host. Returns their number.
    fn welcome(&self, connections: &mut Connections, incoming: &mut Incoming) -> usize {
        if let Incoming::Later(time) = incoming
            && *time <= Instant::now()
        {
            *incoming = Incoming::Some;
        }
        let (Incoming::Some, Some(listener)) = (&incoming, self.host.listener()) else { return 0 };
        for taken in 0..AT_A_TIME {
            match listener.accept() {
                Ok(Some(socket)) => connections.welcome(socket),
                Ok(None) => {
                    *incoming = Incoming::None;
                    return taken;
                }
                Err(error) => {
                    self.host.said_busy.warn(format_args!(
                        "vsock {}: no connection can be taken: {error}; trying again",
                        self.host.path().printable()
                    ));
                    *incoming = Incoming::Later(Instant::now() + PAUSE);
                    return taken;
                }
            }
        }
        AT_A_TIME
    }

    /// Watches the kicks of `queues`, new programs and all streams.
    fn watch(&self, connections: &Connections, queues: &[Served<'_>]) -> io::Result<Epoll> {
        let epoll = Epoll::new()?;
        let add = |fd, events, data| epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(events, data));
        let edge = EventSet::IN | EventSet::EDGE_TRIGGERED;
        for queue in queues {
            add(queue.kick().as_raw_fd(), edge, OTHERS)?;
        }
        add(connections.fd(), EventSet::IN, OTHERS)?;
        if let Some(listener) = self.host.listener() {
            add(listener.as_fd().as_raw_fd(), edge, LISTENER)?;
        }
        Ok(epoll)
    }
}

impl JointHandler for Work {
    fn thread_name(&self) -> String {
        "vsock".to_owned()
    }

    /// Names the role of a thread that connects to the host's programs.
    fn role(&self) -> Role {
        Role::Sockets(self.thread_name())
    }

    fn run(&mut self, queues: &mut [Served<'_>]) -> Result<(), ServeError> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = &mut *connections;
        let epoll = self.watch(connections, queues).map_err(ServeError::Wait)?;
        let mut incoming = Incoming::Some;
        loop {
            connections.on_events().map_err(ServeError::Wait)?;
            let mut moved = self.welcome(connections, &mut incoming);
            loop {
                let mut now = 0;
                for queue in &mut *queues {
                    now += match queue.index() {
                        RX => connections.receive(queue, SHARE)?,
                        TX => connections.transmit(queue, SHARE)?,
                        _ => 0,
                    };
                }
                moved += now;
                if now == 0 || moved >= TURN {
                    break;
                }
            }
            queues.iter_mut().try_for_each(Served::tell)?;
            if queues.iter().any(|queue| queue.stop().is_set()) {
                return Ok(());
            }
            let timeout = match incoming {
                _ if moved > 0 => Some(Duration::ZERO),
                Incoming::Later(time) => Some(time.saturating_duration_since(Instant::now())),
                Incoming::Some | Incoming::None => None,
            };
            let mut events = [EpollEvent::default(); 8];
            let count = match epoll.wait(millis(timeout), &mut events) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                count => count.map_err(ServeError::Wait)?,
            };
            let is_program = |event: &EpollEvent| event.data() == LISTENER;
            if matches!(incoming, Incoming::None) && events[..count].iter().any(is_program) {
                incoming = Incoming::Some;
            }
        }
    }

    fn failed(&self, error: &ServeError) {
        let path = self.host.path().printable();
        let said = &self.host.said_broken;
        said.warn(format_args!("vsock {path}: it stops until the guest resets it: {error}"));
    }
}
