//! A viewer's socket, and the event that ends its thread.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
    net::{SendFlags, send},
};

/// The event that ends all threads of a server.
#[derive(Clone, Debug)]
pub(super) struct Stop(Arc<OwnedFd>);

/// The reasons why a thread woke up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The server is ending.
    Stopped,
    /// The descriptor is ready, or the time is up.
    Ready,
}

impl Stop {
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Ends all threads. Nothing reads the event, so that it stays set.
    pub(super) fn set(&self) {
        if let Err(error) = rustix::io::write(&*self.0, &1_u64.to_ne_bytes()) {
            log::error!("can't wake the VNC server: {error}");
        }
    }

    /// Waits for `patience`, or until the event is set.
    ///
    /// # Errors
    ///
    /// The host can't wait.
    pub(super) fn pause(&self, patience: Duration) -> io::Result<()> {
        match poll(&mut [PollFd::new(&*self.0, PollFlags::IN)], Some(&timespec(patience))) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits up to `patience` for `events` of `fd`.
    ///
    /// # Errors
    ///
    /// The host can't wait.
    pub(super) fn wait(
        &self,
        fd: BorrowedFd<'_>,
        events: PollFlags,
        patience: Option<Duration>,
    ) -> io::Result<Woken> {
        let mut waited_for = [PollFd::new(&*self.0, PollFlags::IN), PollFd::from_borrowed_fd(fd, events)];
        match poll(&mut waited_for, patience.map(timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(if waited_for[0].revents().is_empty() { Woken::Ready } else { Woken::Stopped })
    }
}

/// A nonblocking socket.
#[derive(Debug)]
pub(super) struct Connection(OwnedFd);

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Reads the available bytes; none if there are none yet.
    ///
    /// # Errors
    ///
    /// The viewer is gone: [`io::ErrorKind::UnexpectedEof`] if it has closed the connection.
    pub(super) fn read<'a>(&self, bytes: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match rustix::io::read(&self.0, &mut *bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => Ok(Some(&bytes[..len])),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends as much as there is room for, and returns its length.
    ///
    /// # Errors
    ///
    /// The viewer is gone.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match send(&self.0, bytes, SendFlags::NOSIGNAL) {
            Ok(len) => Ok(len),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

fn timespec(time: Duration) -> Timespec {
    let tv_sec = time.as_secs().try_into().unwrap_or(i64::MAX);
    Timespec { tv_sec, tv_nsec: time.subsec_nanos().into() }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
