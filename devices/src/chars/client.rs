//! A serial port that connects to a socket, and reconnects whenever the connection ends.

use std::{
    fs::File,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll::EventFlags, poll},
    net::{getpeername, getsockname, sockopt::socket_error},
};

use super::{
    Address, Backend, Input,
    address::{AddressError, Resolved},
    peers::{MOST, Peers},
};
use crate::output::Output;

/// The pause before the first attempt to reconnect. It doubles with each failed attempt, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    name: &'static str,
    address: Address,
    resolved: Resolved,
    state: State,
    /// The index of the address to try next.
    which: usize,
    pause: Duration,
    told_of_error: bool,
    told_of_backlog: bool,
    peers: Peers,
}

#[derive(Debug)]
enum State {
    /// Waits for the timer before it connects again.
    Pausing,
    Connecting(OwnedFd),
    ConnectedSince(Instant),
    /// The client no longer connects.
    Finished,
}

impl Client {
    /// Makes the client of the server at `address` for the port `name`. A host's name is resolved here, which can take a while. The server
    /// need not exist yet.
    ///
    /// # Errors
    ///
    /// The host's name can't be resolved, the path is too long, or no file descriptor is left.
    pub fn new(
        name: &'static str,
        address: Address,
        telnet: bool,
        log: Option<File>,
    ) -> Result<Self, AddressError> {
        let resolved = address.resolve()?;
        let peers =
            Peers::new(name, telnet, log).map_err(|error| AddressError::Failed(address.clone(), error))?;
        peers.watch.wake_in(Duration::ZERO);
        let (state, pause) = (State::Pausing, SHORTEST_PAUSE);
        Ok(Self {
            name,
            address,
            resolved,
            state,
            which: 0,
            pause,
            told_of_error: false,
            told_of_backlog: false,
            peers,
        })
    }

    fn connect(&mut self) {
        // The rest of earlier connections' input comes first.
        if !self.peers.has_place() {
            if !std::mem::replace(&mut self.told_of_backlog, true) {
                log::warn!(
                    "{}: not connecting to {}: the guest has not read the input of the last {MOST} connections; trying again until it has",
                    self.name,
                    self.address
                );
            }
            return self.try_later();
        }
        if self.peers.is_empty() {
            self.told_of_backlog = false;
        }
        let connecting = self.resolved.connect(self.which).and_then(|socket| {
            self.peers.watch.add(&socket, EventFlags::OUT)?;
            Ok(socket)
        });
        match connecting {
            Ok(socket) => self.state = State::Connecting(socket),
            Err(error) => self.fail(&error),
        }
    }

    /// Checks whether the attempt to connect has ended.
    fn end_connecting(&mut self) {
        let State::Connecting(socket) = &self.state else { return };
        let ended = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&Timespec::default()));
        if ended.is_ok_and(|ready| ready == 0) {
            return;
        }
        self.peers.watch.remove(socket);
        let outcome = match socket_error(socket) {
            Ok(Ok(())) if is_itself(socket) => Err(io::ErrorKind::ConnectionRefused.into()),
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) | Err(error) => Err(error.into()),
        };
        let State::Connecting(socket) = std::mem::replace(&mut self.state, State::Pausing) else { return };
        match outcome.and_then(|()| self.peers.take(socket)) {
            Ok(()) => {
                log::info!("{}: connected to {}", self.name, self.address);
                self.told_of_error = false;
                self.state = State::ConnectedSince(Instant::now());
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Tries the next address, or all of them again later.
    fn fail(&mut self, error: &io::Error) {
        self.which += 1;
        if self.which.is_multiple_of(self.resolved.len()) {
            if !std::mem::replace(&mut self.told_of_error, true) {
                log::warn!(
                    "{}: no connection to {}: {error}; trying again until there is one",
                    self.name,
                    self.address
                );
            }
            self.try_later();
        } else {
            self.state = State::Pausing;
            self.peers.watch.wake_in(Duration::ZERO);
        }
    }

    fn try_later(&mut self) {
        self.state = State::Pausing;
        self.peers.watch.wake_in(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Checks whether the server has hung up.
    fn look(&mut self) {
        if let State::ConnectedSince(start) = self.state
            && !self.peers.is_connected()
        {
            log::info!("{}: {} has hung up", self.name, self.address);
            // Don't reconnect at once to a server that always hangs up at once.
            if start.elapsed() >= LONGEST_PAUSE {
                self.pause = SHORTEST_PAUSE;
            }
            self.try_later();
        }
    }
}

impl Backend for Client {
    fn output(&self) -> Option<Output> {
        Some(self.peers.output.clone())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.peers.fd())
    }

    fn serve(&mut self, input: &mut Input) {
        let is_time = self.peers.watch.is_time();
        if matches!(self.state, State::Finished) {
            return;
        }
        if is_time && matches!(self.state, State::Pausing) {
            self.connect();
        }
        self.end_connecting();
        self.peers.read(input);
        self.look();
    }

    fn finish(&mut self) {
        self.state = State::Finished;
        self.peers.finish();
    }

    fn describe(&self) -> String {
        format!("{} client of {}", self.address.kind(), self.address)
    }
}

/// Returns whether the socket is connected to itself: the kernel may pick the target port as the source port.
fn is_itself(socket: &OwnedFd) -> bool {
    let ours = getsockname(socket)
        .ok()
        .filter(|address| address.address_family() != rustix::net::AddressFamily::UNIX);
    ours.is_some() && ours == getpeername(socket).ok().flatten()
}

#[cfg(test)]
#[path = "client_test.rs"]
mod tests;
