//! The peer at the other end of a port's socket, and the last input of earlier peers.

use std::{
    collections::VecDeque,
    fmt::Display,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll::EventFlags, poll},
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use super::{Input, address::prepare, log_to, output_options, telnet, watch::Watch};
use crate::output::{Output, Reader};

/// The most sockets kept: the current peer, and peers that hung up while input was unread.
pub(super) const MOST: usize = 8;

/// The ports that a server may have, by the names that users know.
const PORTS: [&str; 4] = ["COM1", "COM2", "COM3", "COM4"];

/// One peer at a time, and before it those that hung up before the guest had read all of their input.
#[derive(Debug)]
pub(super) struct Peers {
    pub(super) watch: Watch,
    pub(super) output: Output,
    speaks_telnet: bool,
    /// The sockets, the oldest first. All have hung up, except for the last one if `connected`.
    sockets: VecDeque<Socket>,
    connected: bool,
}

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    telnet: Option<telnet::Parser>,
    /// The descriptor is watched for input.
    reads: bool,
}

/// The result of an attempt to read.
enum Outcome {
    Some,
    Nothing,
    End,
}

impl Peers {
    pub(super) fn new(name: &'static str, speaks_telnet: bool, log: Option<File>) -> io::Result<Self> {
        let output = Output::to_readers(output_options(name))?;
        log_to(&output, log)?;
        let (watch, sockets) = (Watch::new()?, VecDeque::new());
        Ok(Self { watch, output, speaks_telnet, sockets, connected: false })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.watch.fd()
    }

    /// Returns whether a peer is connected. One that has hung up is dropped here, except for its last input.
    pub(super) fn is_connected(&mut self) -> bool {
        if self.connected && self.sockets.back().is_none_or(|socket| has_hung_up(&socket.fd)) {
            self.let_go();
            self.forget_read_out();
        }
        self.connected
    }

    /// Returns whether there is room for another peer once the current one has gone.
    pub(super) fn has_place(&self) -> bool {
        self.sockets.len() < MOST
    }

    /// Returns whether there is no peer, and no input of earlier peers waits.
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Takes a peer. There must be none.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(super) fn take(&mut self, fd: OwnedFd) -> io::Result<()> {
        prepare(&fd);
        let theirs = fd.try_clone()?;
        self.watch.add(&fd, EventFlags::IN | EventFlags::RDHUP)?;
        let (telnet, reader) = if self.speaks_telnet {
            // Nothing has been sent before, so there is room for it.
            let _ = send(&fd, &telnet::GREETING, SendFlags::NOSIGNAL);
            (Some(telnet::Parser::default()), Reader::telnet(theirs))
        } else {
            (None, Reader::socket(theirs))
        };
        self.sockets.push_back(Socket { fd, telnet, reads: true });
        self.connected = true;
        self.output.connect(reader);
        Ok(())
    }

    /// Reads what there is room for, the oldest first.
    pub(super) fn read(&mut self, input: &mut Input) {
        while input.room() > 0 {
            let Some(oldest) = self.sockets.front_mut() else { break };
            match oldest.read(input) {
                Outcome::Some => {}
                Outcome::Nothing if self.connected && self.sockets.len() == 1 => break,
                Outcome::Nothing | Outcome::End => {
                    if self.connected && self.sockets.len() == 1 {
                        self.let_go();
                    }
                    self.sockets.pop_front();
                }
            }
        }
        self.forget_read_out();
        if let (true, Some(socket)) = (self.connected, self.sockets.back_mut()) {
            let reads = input.room() > 0;
            if std::mem::replace(&mut socket.reads, reads) != reads {
                let input = if reads { EventFlags::IN } else { EventFlags::empty() };
                self.watch.modify(&socket.fd, input | EventFlags::RDHUP);
            }
        }
    }

    /// Drops the peer, except for the input that it has sent.
    fn let_go(&mut self) {
        self.connected = false;
        if let Some(socket) = self.sockets.back() {
            self.watch.remove(&socket.fd);
        }
        self.output.disconnect();
    }

    /// Closes the sockets that have hung up and hold no more input. Without room for input, [`Peers::read`] can't notice that.
    fn forget_read_out(&mut self) {
        let current = self.sockets.len() - usize::from(self.connected && !self.sockets.is_empty());
        let mut index = 0;
        self.sockets.retain(|socket| {
            index += 1;
            index > current || socket.has_unread()
        });
    }

    /// Accepts no more input. Waiting input is read and dropped: closing a socket with unread bytes sends the peer an error, which would
    /// overtake the guest's last output.
    pub(super) fn finish(&mut self) {
        if let (true, Some(socket)) = (self.connected, self.sockets.back_mut()) {
            self.watch.remove(&socket.fd);
            let mut ignored = Input::new(1 << 20);
            while matches!(socket.read(&mut ignored), Outcome::Some) {}
        }
    }
}

impl Socket {
    fn read(&mut self, input: &mut Input) -> Outcome {
        let mut bytes = vec![0; input.room().min(Input::CAPACITY)];
        if bytes.is_empty() {
            return Outcome::Nothing;
        }
        match rustix::io::read(&self.fd, &mut bytes) {
            Ok(len @ 1..) => bytes.truncate(len),
            Err(Errno::INTR) => return Outcome::Some,
            Err(Errno::AGAIN) => return Outcome::Nothing,
            Ok(0) | Err(_) => return Outcome::End,
        }
        if let Some(telnet) = &mut self.telnet {
            telnet.strip(&mut bytes);
        }
        input.push(&bytes);
        Outcome::Some
    }

    /// Returns whether bytes for the guest wait here. Telnet's commands don't count.
    fn has_unread(&self) -> bool {
        let mut bytes = vec![0; Input::CAPACITY];
        match recv(&self.fd, bytes.as_mut_slice(), RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((len @ 1.., _)) => bytes.truncate(len),
            Err(Errno::INTR) => return true,
            Ok(_) | Err(_) => return false,
        }
        let Some(mut telnet) = self.telnet else { return true };
        let is_all = bytes.len() < Input::CAPACITY;
        telnet.strip(&mut bytes);
        !(is_all && bytes.is_empty())
    }
}

/// Returns whether the other end of a socket is closed. A peer that closed only its sending side counts as gone: with TCP, the two can't be
/// told apart.
fn has_hung_up(socket: impl AsFd) -> bool {
    poll(&mut [PollFd::new(&socket, PollFlags::RDHUP)], Some(&Timespec::default()))
        .is_ok_and(|ready| ready > 0)
}

/// Reasons why a peer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another peer is connected.
    Taken,
    /// Too many peers have gone whose input the guest has not read.
    Unread,
}

impl Refusal {
    /// The line of text that the refused peer gets from the port `name`.
    fn line(self, name: impl Display) -> String {
        match self {
            Self::Taken => {
                format!("nvmm: {name} has a connection already; try again when that has ended\r\n")
            }
            Self::Unread => format!("nvmm: the guest reads nothing from {name}; try again later\r\n"),
        }
    }
}

/// Returns whether `said`, all that a server of nvmm's has sent, is the line with which it refuses a peer.
#[must_use]
pub fn is_refusal(said: &[u8]) -> bool {
    PORTS.iter().any(|name| {
        [Refusal::Taken, Refusal::Unread].iter().any(|refusal| refusal.line(name).as_bytes() == said)
    })
}

/// Sends a peer the reason why it is refused, and closes the connection.
pub(super) fn refuse(socket: &OwnedFd, name: &str, why: Refusal) {
    // A new socket has room for a line. Its input is read, so that no error overtakes the line.
    let _ = send(socket, why.line(name).as_bytes(), SendFlags::NOSIGNAL);
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
    let _ = rustix::io::read(socket, &mut [0; 4096]);
}
