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

/// The time after which a debugger that reads nothing is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket that never blocks.
#[derive(Debug)]
pub(super) struct Peer {
    socket: OwnedFd,
    /// Not sent yet.
    pending: Vec<u8>,
}

impl Peer {
    /// A debugger at the other end of a socket.
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, pending: Vec::new() }
    }

    /// Reads what has come. None: nothing yet.
    ///
    /// # Errors
    ///
    /// The debugger is gone, which is the error [`io::ErrorKind::UnexpectedEof`] if it has closed its side.
    pub(super) fn read<'a>(&self, bytes: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match rustix::io::read(&self.socket, &mut *bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => Ok(Some(&bytes[..len])),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns whether the debugger has closed its side. What it sent before may still be there.
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
