//! The reader of an output: a file, a pipe, a terminal, or the other end of a socket.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, ioctl_fionread},
    net::{Shutdown, shutdown},
    pty::{OpenptFlags, ioctl_tiocgptpeer},
};

/// The time for which bytes to a pseudoterminal's other side may be counted on neither side.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// Telnet's "interpret as command". RFC 854, "TELNET command structure".
const IAC: u8 = 255;

/// A file to send to, with its kind.
#[derive(Debug)]
pub struct Reader {
    file: File,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file, a terminal, or anything else for which it is unknown how much has been read.
    Other,
    /// A pipe, for which this is known, and which keeps unread bytes when nvmm ends.
    Pipe,
    /// A socket. With `telnet`, the byte `IAC` is sent twice, which makes it data.
    Socket { telnet: bool },
    /// A pseudoterminal's master side. Bytes that the other side has not read are lost when nvmm ends.
    Terminal,
}

impl Reader {
    /// A reader for which it is unknown how much it has read.
    pub(super) fn other(file: File) -> Self {
        Self { file, kind: Kind::Other }
    }

    /// A pipe.
    pub(super) fn pipe(file: File) -> Self {
        Self { file, kind: Kind::Pipe }
    }

    /// The peer at the other end of a socket, which never blocks.
    #[must_use]
    pub fn socket(socket: OwnedFd) -> Self {
        Self { file: socket.into(), kind: Kind::Socket { telnet: false } }
    }

    /// The same for a peer that speaks telnet.
    #[must_use]
    pub fn telnet(socket: OwnedFd) -> Self {
        Self { file: socket.into(), kind: Kind::Socket { telnet: true } }
    }

    /// The program that has opened the other side of the pseudoterminal `master`, which never blocks.
    #[must_use]
    pub fn terminal(master: OwnedFd) -> Self {
        Self { file: master.into(), kind: Kind::Terminal }
    }

    /// The number of bytes that were sent but not read yet, as far as that is known.
    pub(super) fn unread(&self) -> u64 {
        let unread = match self.kind {
            Kind::Other | Kind::Socket { .. } => Ok(0),
            Kind::Pipe => ioctl_fionread(&self.file),
            Kind::Terminal => {
                let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
                ioctl_tiocgptpeer(&self.file, flags).and_then(ioctl_fionread)
            }
        };
        unread.unwrap_or(0)
    }

    /// Returns whether nothing of what was sent would be lost if nvmm ended now. The last bytes were sent at `sent_at`.
    pub(super) fn has_all(&self, sent_at: Option<Instant>) -> bool {
        let is_under_way = || sent_at.is_some_and(|at| at.elapsed() < UNDER_WAY);
        self.kind != Kind::Terminal || !is_under_way() && self.unread() == 0
    }

    /// Ends the connection, so that the sending thread waits for it no longer. Only a socket has one.
    pub(super) fn hang_up(&self) {
        if let Kind::Socket { .. } = self.kind {
            // It fails only if the peer closed it first.
            let _ = shutdown(&self.file, Shutdown::Both);
        }
    }

    /// Sends all of `bytes`, however long that takes, and removes from it what was sent.
    pub(super) fn send(&self, bytes: &mut &[u8]) -> io::Result<()> {
        match self.kind {
            Kind::Socket { telnet } => {
                // Bytes that are sent to a peer which has closed its end are lost, at first without an error.
                self.check_connection()?;
                if telnet { self.send_telnet(bytes) } else { self.write_all(bytes) }
            }
            Kind::Other | Kind::Pipe | Kind::Terminal => self.write_all(bytes),
        }
    }

    fn check_connection(&self) -> io::Result<()> {
        match poll(&mut [PollFd::new(&self.file, PollFlags::RDHUP)], Some(&Timespec::default())) {
            Ok(1..) => Err(ErrorKind::BrokenPipe.into()),
            Ok(0) | Err(_) => Ok(()),
        }
    }

    fn send_telnet(&self, bytes: &mut &[u8]) -> io::Result<()> {
        while let Some(&first) = bytes.first() {
            if first == IAC {
                self.write_all(&mut &[IAC, IAC][..])?;
                *bytes = &bytes[1..];
            } else {
                let len = bytes.iter().position(|&byte| byte == IAC).unwrap_or(bytes.len());
                let mut part = &bytes[..len];
                let written = self.write_all(&mut part);
                *bytes = &bytes[len - part.len()..];
                written?;
            }
        }
        Ok(())
    }

    fn write_all(&self, bytes: &mut &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&self.file).write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => *bytes = &bytes[sent..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The file is non-blocking, perhaps because another program that shares it made it so.
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_room()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait_for_room(&self) -> io::Result<()> {
        let mut file = [PollFd::new(&self.file, PollFlags::OUT)];
        match poll(&mut file, None) {
            // No program has the other side of the pseudoterminal open any more.
            Ok(_) if file[0].revents() == PollFlags::HUP => Err(ErrorKind::BrokenPipe.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
#[path = "reader_test.rs"]
mod tests;
