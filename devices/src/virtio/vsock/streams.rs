//! The streams to programs of the host, and their events.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

/// The number of events that are read at a time.
const EVENTS: usize = 64;

/// Watches streams, each with a token. It is edge-triggered, so that a stream that can't be served now does not wake the thread. A stream
/// that is closed is no longer watched.
#[derive(Debug)]
pub(super) struct Streams {
    epoll: Epoll,
    next_token: u64,
}

/// An event of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) token: u64,
    /// There may be bytes to read.
    pub(super) readable: bool,
    /// The program will send no more than what can be read now.
    pub(super) is_all: bool,
    /// The program has gone.
    pub(super) hung_up: bool,
}

impl Streams {
    /// Makes a set of no streams.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new()?, next_token: 0 })
    }

    /// A descriptor that is readable when there are events.
    pub(super) fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Watches a stream, and returns its token, which is never reused.
    pub(super) fn watch(&mut self, stream: &OwnedFd) -> io::Result<u64> {
        let token = self.next_token;
        let events = EventSet::IN | EventSet::OUT | EventSet::READ_HANG_UP | EventSet::EDGE_TRIGGERED;
        self.epoll.ctl(ControlOperation::Add, stream.as_raw_fd(), EpollEvent::new(events, token))?;
        self.next_token += 1;
        Ok(token)
    }

    /// Returns some events, if there are any.
    pub(super) fn events(&self) -> io::Result<impl Iterator<Item = Event> + use<>> {
        let mut events = [EpollEvent::default(); EVENTS];
        let count = match self.epoll.wait(0, &mut events) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            count => count?,
        };
        Ok(events.into_iter().take(count).map(|event| {
            let set = event.event_set();
            let is_all = set.contains(EventSet::READ_HANG_UP);
            let hung_up = set.intersects(EventSet::HANG_UP | EventSet::ERROR);
            Event { token: event.data(), readable: set.contains(EventSet::IN) || is_all, is_all, hung_up }
        }))
    }
}
