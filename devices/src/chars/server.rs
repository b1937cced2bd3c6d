//! A serial port that listens on a socket.

use std::{
    fs::File,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::event::epoll::EventFlags;

use super::{
    Address, Backend, Input,
    address::AddressError,
    listener::{Access, Listener},
    peers::{Peers, Refusal, refuse},
};
use crate::output::Output;

/// The most connections handled in one call, so that a flood can't starve other sources.
const AT_A_TIME: usize = 16;
/// The pause after an error that will last for a while, such as a full descriptor table.
const PAUSE: Duration = Duration::from_secs(1);

/// A server for one peer at a time. Others are refused with a line of text. Once the peer has hung up, it or another one may connect.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    address: Address,
    listener: Option<Listener>,
    listens: bool,
    told_of_error: bool,
    waits: bool,
    peers: Peers,
}

/// The options of a [`Server`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerOptions {
    /// The machine must not start before the first peer is connected.
    pub wait: bool,
    /// Peers speak telnet.
    pub telnet: bool,
}

impl Server {
    /// Listens at `address` for the port `name`.
    ///
    /// # Errors
    ///
    /// Another program listens there, the path is too long, or the host refuses.
    pub fn new(
        name: &'static str,
        address: &Address,
        options: ServerOptions,
        log: Option<File>,
    ) -> Result<Self, AddressError> {
        let failed = |error| AddressError::Failed(address.clone(), error);
        let peers = Peers::new(name, options.telnet, log).map_err(failed)?;
        let listener = Listener::new(address, Access::Umask)?;
        peers.watch.add(&listener, EventFlags::IN).map_err(failed)?;
        Ok(Self {
            name,
            address: listener.address().clone(),
            listener: Some(listener),
            listens: true,
            told_of_error: false,
            waits: options.wait,
            peers,
        })
    }

    /// The address, with the actual port if any free one was asked for.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn accept(&mut self) {
        for _ in 0..AT_A_TIME {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok(Some(socket)) => {
                    if let Err(error) = self.welcome(socket) {
                        return self.pause(&error.to_string());
                    }
                }
                Ok(None) => return,
                Err(error) => return self.pause(&error.to_string()),
            }
        }
    }

    fn welcome(&mut self, socket: OwnedFd) -> std::io::Result<()> {
        if self.peers.is_connected() {
            refuse(&socket, self.name, Refusal::Taken);
        } else if !self.peers.has_place() {
            refuse(&socket, self.name, Refusal::Unread);
        } else {
            self.peers.take(socket)?;
            self.waits = false;
            log::info!("{}: connected at {}", self.name, self.address);
        }
        Ok(())
    }

    /// Stops listening for a while: a connection that can't be accepted keeps the listener readable.
    fn pause(&mut self, error: &str) {
        if !std::mem::replace(&mut self.told_of_error, true) {
            log::warn!(
                "{}: no connection can be taken at {}: {error}; trying again",
                self.name,
                self.address
            );
        }
        if let Some(listener) = &self.listener {
            self.peers.watch.remove(listener);
            self.listens = false;
            self.peers.watch.wake_in(PAUSE);
        }
    }

    fn listen_again(&mut self) {
        if let Some(listener) = &self.listener
            && !self.listens
        {
            match self.peers.watch.add(listener, EventFlags::IN) {
                Ok(()) => self.listens = true,
                Err(_) => self.peers.watch.wake_in(PAUSE),
            }
        }
    }
}

impl Backend for Server {
    fn output(&self) -> Option<Output> {
        Some(self.peers.output.clone())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.peers.fd())
    }

    fn serve(&mut self, input: &mut Input) {
        let is_time = self.peers.watch.is_time();
        if self.listener.is_none() {
            return;
        }
        if is_time {
            self.listen_again();
        }
        self.peers.is_connected();
        if self.listens {
            self.accept();
        }
        self.peers.read(input);
    }

    fn waits_for_peer(&self) -> bool {
        self.waits
    }

    fn finish(&mut self) {
        self.listener = None;
        self.peers.finish();
    }

    fn describe(&self) -> String {
        format!("{} server at {}", self.address.kind(), self.address)
    }
}

#[cfg(test)]
#[path = "server_test.rs"]
mod tests;
