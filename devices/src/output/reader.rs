//! Whoever reads an output: a file, a pipe, a terminal, or the other end of a socket.

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

/// Bytes are on their way to a pseudoterminal's other side for a moment, in which neither side counts them.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// Telnet's "interpret as command". RFC 854, "TELNET command structure".
const IAC: u8 = 255;

/// A file to send to, and how.
#[derive(Debug)]
pub struct Reader {
    file: File,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file, a terminal, or anything else that doesn't tell how much of it is read.
    Other,
    /// It tells, and keeps what is not read yet when nvmm ends.
    Pipe,
    /// A socket. Telnet's `IAC` is sent twice, which makes it a byte like any other.
    Socket { telnet: bool },
    /// A pseudoterminal's own side. What the other side has not read yet is lost when nvmm ends.
    Terminal,
}

impl Reader {
    /// Anything that doesn't tell how much of it is read.
    pub(super) fn other(file: File) -> Self {
        Self { file, kind: Kind::Other }
    }

    /// A pipe.
    pub(super) fn pipe(file: File) -> Self {
        Self { file, kind: Kind::Pipe }
    }

    /// The peer at the other end of a socket that never blocks.
    #[must_use]
    pub fn socket(socket: OwnedFd) -> Self {
        Self { file: socket.into(), kind: Kind::Socket { telnet: false } }
    }

    /// The same, if it speaks telnet.
    #[must_use]
    pub fn telnet(socket: OwnedFd) -> Self {
        Self { file: socket.into(), kind: Kind::Socket { telnet: true } }
    }

    /// Whoever has opened the other side of the pseudoterminal `master`, which never blocks.
    #[must_use]
    pub fn terminal(master: OwnedFd) -> Self {
        Self { file: master.into(), kind: Kind::Terminal }
    }

    /// The number of bytes that were sent and not read yet, as far as can be told.
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

    /// Returns whether nvmm's end loses nothing of what was sent, the last of it at `sent_at`.
    pub(super) fn has_all(&self, sent_at: Option<Instant>) -> bool {
        let is_under_way = || sent_at.is_some_and(|at| at.elapsed() < UNDER_WAY);
        self.kind != Kind::Terminal || !is_under_way() && self.unread() == 0
    }

    /// Ends the connection, so that the thread which sends doesn't wait for it any longer. Only a socket has one.
    pub(super) fn hang_up(&self) {
        if let Kind::Socket { .. } = self.kind {
            // An error: the peer was first.
            let _ = shutdown(&self.file, Shutdown::Both);
        }
    }

    /// Sends it all, however long that takes. `bytes` are what is left.
    pub(super) fn send(&self, bytes: &mut &[u8]) -> io::Result<()> {
        match self.kind {
            Kind::Socket { telnet } => {
                // What is sent to a peer that has closed its end is lost, without an error at first.
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
                // It never blocks, or somebody else who has the file wants it so.
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_room()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait_for_room(&self) -> io::Result<()> {
        let mut file = [PollFd::new(&self.file, PollFlags::OUT)];
        match poll(&mut file, None) {
            // Nobody has the other side of a pseudoterminal any more.
            Ok(_) if file[0].revents() == PollFlags::HUP => Err(ErrorKind::BrokenPipe.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
#[path = "reader_test.rs"]
mod tests;
