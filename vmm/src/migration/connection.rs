//! The connection between the two sides: messages with a kind, a length and a checksum.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use thiserror::Error;

/// The length of the part before the content: kind, length, checksum of both and of the content.
const HEADER: usize = 12;
/// The interval for checking whether to give up.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// The number of bytes by which a buffer grows: no peer can reserve more memory than it sends.
const GROWTH: usize = 1 << 20;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// Source: [`MAGIC`](super::MAGIC) and the format.
    Begin = 1,
    /// Source: a snapshot's `machine.json`, first with what is known so far, and again at the end.
    Machine,
    /// Source: the numbers of a part of memory and of a page in it, and pages.
    Pages,
    /// Source: the same with a number of pages that are zeros, instead of pages.
    Zeros,
    /// Source: the machine is stopped, and its disks are unlocked; [`Stopped`](super::Stopped).
    Stopped,
    /// Source: a snapshot's `state.json`.
    State,
    /// Source: the machine belongs to the destination from now on.
    Go,
    /// Destination: as far as is known, this host can run the machine, and waits for its memory.
    Welcome,
    /// Destination: everything has come, and the machine can run.
    Ready,
    /// Destination: the machine runs.
    Running,
    /// Either side: it gives up, for this reason.
    Refused,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Begin,
        Self::Machine,
        Self::Pages,
        Self::Zeros,
        Self::Stopped,
        Self::State,
        Self::Go,
        Self::Welcome,
        Self::Ready,
        Self::Running,
        Self::Refused,
    ];

    /// The longest content of such a message in bytes.
    fn most(self) -> usize {
        match self {
            Self::Begin => 64,
            Self::Machine => 64 << 20,
            Self::Pages => (1 << 20) + 64,
            Self::Zeros | Self::Stopped => 64,
            Self::State => 256 << 20,
            Self::Go | Self::Welcome | Self::Ready | Self::Running => 0,
            Self::Refused => 4096,
        }
    }
}

/// Reasons why a connection is broken.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    /// The other side has closed the connection.
    #[error("the other side has closed the connection")]
    Closed,
    /// The other side gives up, for this reason.
    #[error("the other side refuses: {0}")]
    Refused(String),
    /// This side has to give up.
    #[error("it was cancelled")]
    Cancelled,
    /// The other side neither reads nor sends.
    #[error("the other side has done nothing for {} seconds", .0.as_secs())]
    Silent(Duration),
    /// The other side sends something invalid.
    #[error("the other side sends what makes no sense ({0})")]
    Nonsense(&'static str),
    /// The host's error.
    #[error("the connection fails")]
    Host(#[from] Errno),
}

/// Returns whether to give up.
pub(crate) type Stop<'a> = &'a dyn Fn() -> bool;

/// A connection to the other side.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// A descriptor that was passed with a message.
    passed: Option<OwnedFd>,
}

/// A received message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) content: Vec<u8>,
}

impl Connection {
    /// Makes a connection from a stream socket.
    ///
    /// # Errors
    ///
    /// The host's error.
    pub(crate) fn new(socket: OwnedFd) -> Result<Self, Broken> {
        fcntl_setfl(&socket, fcntl_getfl(&socket)? | OFlags::NONBLOCK)?;
        Ok(Self { socket, passed: None })
    }

    /// The descriptor that was passed with a message, if there is one.
    pub(crate) fn take_passed(&mut self) -> Option<OwnedFd> {
        self.passed.take()
    }

    /// Sends a message, whose content is the concatenation of these parts. A peer that reads nothing has `patience` time.
    ///
    /// # Errors
    ///
    /// The connection is broken. If the other side has sent a reason, that is the error.
    pub(crate) fn send(
        &mut self,
        kind: Kind,
        parts: &[&[u8]],
        patience: Duration,
        stop: Stop<'_>,
    ) -> Result<(), Broken> {
        let sent = self.send_with(kind, parts, None, patience, stop);
        match sent {
            // A peer that hangs up may have sent a reason before.
            Err(Broken::Closed | Broken::Host(_)) => match self.receive(Some(TICK_TIME), stop) {
                Err(refused @ Broken::Refused(_)) => Err(refused),
                _ => sent,
            },
            sent => sent,
        }
    }

    /// Sends a message with a descriptor, if the socket can pass one.
    ///
    /// # Errors
    ///
    /// The errors of [`Connection::send`].
    pub(crate) fn send_with(
        &mut self,
        kind: Kind,
        parts: &[&[u8]],
        passed: Option<BorrowedFd<'_>>,
        patience: Duration,
        stop: Stop<'_>,
    ) -> Result<(), Broken> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let len =
            u32::try_from(len).ok().filter(|_| len <= kind.most()).ok_or(Broken::Nonsense("too long"))?;
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&(kind as u32).to_le_bytes());
        header[4..8].copy_from_slice(&len.to_le_bytes());
        let mut sum = crc32fast::Hasher::new();
        sum.update(&header[..8]);
        parts.iter().for_each(|part| sum.update(part));
        header[8..].copy_from_slice(&sum.finalize().to_le_bytes());

        let mut left: Vec<&[u8]> = [&header[..]].into_iter().chain(parts.iter().copied()).collect();
        let mut passed = passed;
        let mut since = Instant::now();
        loop {
            left.retain(|part| !part.is_empty());
            if left.is_empty() {
                return Ok(());
            }
            self.wait(PollFlags::OUT, Some(patience), since, stop)?;
            let slices: Vec<_> = left.iter().map(|part| IoSlice::new(part)).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let fds: Vec<_> = passed.into_iter().collect();
            if !fds.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(&fds));
            }
            let mut sent = match sendmsg(&self.socket, &slices, &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => sent,
                Err(Errno::AGAIN | Errno::INTR) => continue,
                // TCP can't pass descriptors.
                Err(Errno::INVAL | Errno::OPNOTSUPP) if !fds.is_empty() => {
                    passed = None;
                    continue;
                }
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Broken::Closed),
                Err(error) => return Err(error.into()),
            };
            passed = None;
            since = Instant::now();
            for part in &mut left {
                let taken = sent.min(part.len());
                *part = &part[taken..];
                sent -= taken;
            }
        }
    }

    /// Returns whether the other side has sent something, or closed the connection.
    pub(crate) fn has_news(&self) -> Result<bool, Broken> {
        let mut polled = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut polled, Some(&Timespec::default())) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the next message. A peer that sends nothing has `patience` time, or any time if there is none.
    ///
    /// # Errors
    ///
    /// The connection is broken, or the other side gives up.
    pub(crate) fn receive(&mut self, patience: Option<Duration>, stop: Stop<'_>) -> Result<Message, Broken> {
        let mut header = [0; HEADER];
        self.fill(&mut header, patience, stop)?;
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u32 == word(0));
        let kind = kind.ok_or(Broken::Nonsense("an unknown message"))?;
        let len = usize::try_from(word(4)).ok().filter(|len| *len <= kind.most());
        let len = len.ok_or(Broken::Nonsense("too long a message"))?;
        let mut content = Vec::new();
        while content.len() < len {
            let start = content.len();
            content.resize(len.min(start + GROWTH), 0);
            self.fill(&mut content[start..], patience, stop)?;
        }
        let mut sum = crc32fast::Hasher::new();
        sum.update(&header[..8]);
        sum.update(&content);
        if sum.finalize() != word(8) {
            return Err(Broken::Nonsense("a wrong checksum"));
        }
        if kind == Kind::Refused {
            return Err(Broken::Refused(String::from_utf8_lossy(&content).into_owned()));
        }
        Ok(Message { kind, content })
    }

    /// Waits for a message of this kind.
    ///
    /// # Errors
    ///
    /// The errors of [`Connection::receive`], or another kind of message comes.
    pub(crate) fn expect(
        &mut self,
        kind: Kind,
        patience: Option<Duration>,
        stop: Stop<'_>,
    ) -> Result<Vec<u8>, Broken> {
        let message = self.receive(patience, stop)?;
        if message.kind == kind {
            Ok(message.content)
        } else {
            Err(Broken::Nonsense("an unexpected message"))
        }
    }

    /// Gives up, and sends the reason if that is possible without waiting.
    pub(crate) fn refuse(mut self, why: &str) {
        let mut end = why.len().min(Kind::Refused.most());
        while !why.is_char_boundary(end) {
            end -= 1;
        }
        let _ =
            self.send_with(Kind::Refused, &[&why.as_bytes()[..end]], None, Duration::from_secs(1), &|| false);
    }

    fn fill(
        &mut self,
        mut bytes: &mut [u8],
        patience: Option<Duration>,
        stop: Stop<'_>,
    ) -> Result<(), Broken> {
        let mut since = Instant::now();
        while !bytes.is_empty() {
            self.wait(PollFlags::IN, patience, since, stop)?;
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let received =
                recvmsg(&self.socket, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC);
            let len = match received {
                Ok(received) => received.bytes,
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Err(Errno::CONNRESET) => return Err(Broken::Closed),
                Err(error) => return Err(error.into()),
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    self.passed = descriptors.last();
                }
            }
            if len == 0 {
                return Err(Broken::Closed);
            }
            since = Instant::now();
            bytes = &mut bytes[len..];
        }
        Ok(())
    }

    fn wait(
        &self,
        events: PollFlags,
        patience: Option<Duration>,
        since: Instant,
        stop: Stop<'_>,
    ) -> Result<(), Broken> {
        loop {
            if stop() {
                return Err(Broken::Cancelled);
            }
            let mut polled = [PollFd::new(&self.socket, events)];
            match poll(&mut polled, Some(&TICK)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if let Some(patience) = patience.filter(|patience| since.elapsed() >= *patience) {
                return Err(Broken::Silent(patience));
            }
        }
    }
}

/// The same as a duration.
const TICK_TIME: Duration = Duration::from_millis(50);

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
#[path = "connection_test.rs"]
mod tests;
