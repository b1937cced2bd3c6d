//! The waiting of a network device's worker.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
};

use vmm_sys_util::{
    epoll::{ControlOperation, Epoll, EpollEvent, EventSet},
    eventfd::EventFd,
};

use crate::virtio::serve::ServeError;

/// The events for which a queue's worker waits: the queue's kicks, and sometimes its port.
#[derive(Debug)]
pub(super) struct Waits {
    epoll: Epoll,
    port: RawFd,
    port_event: EventSet,
    /// The port is being waited for.
    for_port: bool,
}

impl Waits {
    /// Waits for `kick`, and for `port_event` of the descriptor `port`.
    pub(super) fn new(kick: &EventFd, port: RawFd, port_event: EventSet) -> Result<Self, ServeError> {
        let epoll = Epoll::new().map_err(ServeError::Wait)?;
        // Edge-triggered: each kick wakes the thread, and the counter need not be read.
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, 0);
        epoll.ctl(ControlOperation::Add, kick.as_raw_fd(), event).map_err(ServeError::Wait)?;
        Ok(Self { epoll, port, port_event, for_port: false })
    }

    /// Waits for a kick, and also for the port if `for_port`. Otherwise the port is not watched at all, since an error of it would wake the
    /// thread continuously.
    pub(super) fn wait(&mut self, for_port: bool) -> Result<(), ServeError> {
        if for_port != self.for_port {
            let operation = if for_port { ControlOperation::Add } else { ControlOperation::Delete };
            let event = EpollEvent::new(self.port_event, 0);
            self.epoll.ctl(operation, self.port, event).map_err(ServeError::Wait)?;
            self.for_port = for_port;
        }
        match self.epoll.wait(-1, &mut [EpollEvent::default(); 2]) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(ServeError::Wait(error)),
            _ => Ok(()),
        }
    }
}
