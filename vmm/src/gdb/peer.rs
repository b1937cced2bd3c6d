//! The connection to a debugger.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use gdbstub::conn::Connection;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SendFlags, send},
};

/// The longest time to wait for a debugger that reads nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket that never blocks.
#[derive(Debug)]
pub(super) struct Peer {
    socket: OwnedFd,
    /// Bytes that have not been sent yet.
    pending: Vec<u8>,
}

impl Peer {
    /// A debugger at the other end of a socket.
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, pending: Vec::new() }
    }

    /// Reads the available bytes; none if there are none yet.
    ///
    /// # Errors
    ///
    /// The debugger has gone: the error is [`io::ErrorKind::UnexpectedEof`] if it closed its side.
    pub(super) fn read<'a>(&self, bytes: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match rustix::io::read(&self.socket, &mut *bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => Ok(Some(&bytes[..len])),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns whether the debugger has closed its side. Bytes that it sent before may still be unread.
    pub(super) fn has_hung_up(&self) -> bool {
        poll(&mut [PollFd::new(&self.socket, PollFlags::RDHUP)], Some(&Timespec::default()))
            .is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Peer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Connection for Peer {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.pending.push(byte);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut rest = &self.pending[..];
        while !rest.is_empty() {
            match send(&self.socket, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let patience = Timespec::try_from(PATIENCE).map_err(|_| Errno::INVAL)?;
                    if poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&patience))? == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.pending.clear();
        Ok(())
    }
}
