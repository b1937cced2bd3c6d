//! All connections, and the packets that make and end them.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    os::fd::{OwnedFd, RawFd},
    sync::Arc,
};

use rustix::net::{SendFlags, send};

use super::{
    connection::{Connection, Received, Stage},
    greeting::Greeting,
    host::Connect,
    packet::{HOST_CID, Header, Operation, Ports, STREAM, Shutdown},
    streams::{Event, Streams},
};
use crate::virtio::{
    queue::{Buffers, Chain, QueueError},
    serve::Served,
};

/// The most connections. Each needs a descriptor, of which a process mostly has 1024.
pub(super) const MOST_CONNECTIONS: usize = 512;
/// The most programs that have not sent their port yet. If there are more, the one that has waited longest is dropped.
pub(super) const MOST_GREETINGS: usize = 64;
/// While this many packets wait for the guest's buffers, no packets that may need an answer are taken.
pub(super) const MOST_REPLIES: usize = 256;
/// The most data after a header.
const MOST_DATA: usize = 64 << 10;
/// The first port for the ends of the host's programs. Nothing listens at these ports.
const FIRST_PORT: u32 = 1 << 30;
const LAST_PORT: u32 = (1 << 31) - 1;

/// The connections of a guest. They survive pauses of the machine, but not the guest's driver.
#[derive(Debug)]
pub(super) struct Connections {
    cid: u32,
    host: Arc<dyn Connect>,
    streams: Streams,
    next_port: u32,
    /// Programs of the host that have not sent their port yet.
    greetings: BTreeMap<u64, OwnedFd>,
    connections: BTreeMap<u64, Connection>,
    /// The connections that the guest has not left.
    tokens: BTreeMap<Ports, u64>,
    /// Packets without data for the guest.
    replies: VecDeque<Header>,
    /// The connections with data for the guest, which take turns.
    ready: VecDeque<u64>,
}

impl Connections {
    /// Makes an empty set of connections for the guest with address `cid`.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(super) fn new(cid: u32, host: Arc<dyn Connect>) -> io::Result<Self> {
        Ok(Self {
            cid,
            host,
            streams: Streams::new()?,
            next_port: FIRST_PORT,
            greetings: BTreeMap::new(),
            connections: BTreeMap::new(),
            tokens: BTreeMap::new(),
            replies: VecDeque::new(),
            ready: VecDeque::new(),
        })
    }

    /// A descriptor that is readable when [`Connections::on_events`] has something to do.
    pub(super) fn fd(&self) -> RawFd {
        self.streams.fd()
    }

    /// Accepts a program of the host that wants to connect to the guest, and still has to send the port.
    pub(super) fn welcome(&mut self, socket: OwnedFd) {
        if self.greetings.len() >= MOST_GREETINGS {
            self.greetings.pop_first();
        }
        if let Ok(token) = self.streams.watch(&socket) {
            self.greetings.insert(token, socket);
        }
    }

    /// Finds the streams that can be read or written, and writes what can be written.
    ///
    /// # Errors
    ///
    /// The errors of epoll.
    pub(super) fn on_events(&mut self) -> io::Result<()> {
        for Event { token, readable, is_all, hung_up } in self.streams.events()? {
            if self.greetings.contains_key(&token) {
                if hung_up {
                    self.greetings.remove(&token);
                } else {
                    self.greet(token, is_all);
                }
            } else if let Some(connection) = self.connections.get_mut(&token) {
                if hung_up && connection.stage == Stage::Asked {
                    self.withdraw(token);
                } else {
                    connection.on_event(readable, hung_up);
                    self.settle(token);
                }
            }
        }
        Ok(())
    }

    /// Takes at most `most` packets off the guest's `queue`, and returns their number.
    ///
    /// # Errors
    ///
    /// The queue is broken.
    pub(super) fn transmit(&mut self, queue: &mut Served<'_>, most: usize) -> Result<usize, QueueError> {
        let mut taken = 0;
        while taken < most && self.replies.len() < MOST_REPLIES {
            let Some(chain) = queue.next()? else { break };
            let head = chain.head;
            self.take(chain);
            queue.give_back(head, 0)?;
            queue.interrupt_if_batched()?;
            taken += 1;
        }
        Ok(taken)
    }

    /// Sends at most `most` packets to the guest by its `queue`, and returns their number.
    ///
    /// # Errors
    ///
    /// The queue is broken.
    pub(super) fn receive(&mut self, queue: &mut Served<'_>, most: usize) -> Result<usize, QueueError> {
        let mut given = 0;
        while given < most && (!self.replies.is_empty() || !self.ready.is_empty()) {
            let Some(chain) = queue.next()? else { break };
            match self.give(&chain) {
                Some(written) => {
                    queue.give_back(chain.head, written)?;
                    queue.interrupt_if_batched()?;
                    given += 1;
                }
                None => queue.put_back(),
            }
        }
        Ok(given)
    }

    /// Handles a packet from the guest. A chain without a header is ignored.
    pub(super) fn take(&mut self, chain: Chain<'_>) {
        let mut data = chain.readable;
        if let Some(bytes) = data.take_front::<{ Header::LEN }>() {
            let header: Header = zerocopy::transmute!(bytes);
            self.take_packet(&header, &data);
        }
    }

    /// Puts a packet into `chain`, and returns its length; `None` if there is none after all. A chain that is too short for a packet is
    /// returned unchanged.
    pub(super) fn give(&mut self, chain: &Chain<'_>) -> Option<u32> {
        let room = chain.writable.len();
        if room <= Header::LEN {
            return Some(0);
        }
        if let Some(header) = self.replies.pop_front() {
            return Some(header.put(chain));
        }
        while let Some(token) = self.ready.pop_front() {
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            connection.queued = false;
            if !connection.wants_to_read() {
                continue;
            }
            let most = usize::try_from(connection.credit()).unwrap_or(MOST_DATA).min(MOST_DATA);
            let pieces: Vec<_> = chain.writable.range(Header::LEN, most).collect();
            let received = connection.read(&pieces);
            let packet = match received {
                Received::Some(len) => {
                    let packet = connection.packet(self.cid, Operation::Rw);
                    Some(Header { len: len.into(), ..packet })
                }
                Received::Nothing | Received::End => None,
            };
            self.settle(token);
            if let Some(header) = packet {
                return Some(header.put(chain));
            }
            if !self.replies.is_empty() {
                break;
            }
        }
        self.replies.pop_front().map(|header| header.put(chain))
    }

    fn take_packet(&mut self, header: &Header, data: &Buffers<'_>) {
        // An answer would go to another guest.
        if header.src_cid.get() != u64::from(self.cid) {
            return;
        }
        let op = header.operation();
        if header.dst_cid.get() != HOST_CID || header.socket_type.get() != STREAM {
            if op != Some(Operation::Rst) {
                self.replies.push_back(header.rst());
            }
            return;
        }
        let Some(&token) = self.tokens.get(&header.ports()) else {
            match op {
                Some(Operation::Request) => self.accept(header),
                Some(Operation::Rst) => {}
                _ => self.replies.push_back(header.rst()),
            }
            return;
        };
        let Some(connection) = self.connections.get_mut(&token) else { return };
        connection.take_credit(header);
        let len = usize::try_from(header.len.get()).unwrap_or(usize::MAX);
        match (op, connection.stage) {
            (Some(Operation::Rst), _) => self.leave(token),
            (Some(Operation::Response), Stage::Asked) => self.open(token, header),
            (Some(Operation::Rw), Stage::Open) if connection.takes(len) && len <= data.len() => {
                connection.write(data, len);
                self.settle(token);
            }
            (Some(Operation::CreditUpdate), Stage::Open) => self.settle(token),
            (Some(Operation::CreditRequest), Stage::Open) => {
                self.reply(token, Operation::CreditUpdate);
                self.settle(token);
            }
            (Some(Operation::Shutdown), Stage::Open) => {
                connection.guest_ends(Shutdown::from_bits_truncate(header.flags.get()));
                if connection.guest_has_ended() {
                    self.replies.push_back(header.rst());
                    self.leave(token);
                } else {
                    self.settle(token);
                }
            }
            _ => {
                self.replies.push_back(header.rst());
                self.remove(token);
            }
        }
    }

    /// Connects the guest to a program of the host, or answers that it can't.
    fn accept(&mut self, header: &Header) {
        let ports = header.ports();
        let connected = if self.connections.len() < MOST_CONNECTIONS {
            self.host.connect(ports.host)
        } else {
            Err(io::Error::other("there are too many connections"))
        };
        let watched = connected.and_then(|stream| Ok((self.streams.watch(&stream)?, stream)));
        match watched {
            Ok((token, stream)) => {
                let mut connection = Connection::new(ports, Stage::Open, stream);
                connection.take_credit(header);
                self.insert(token, connection);
                self.reply(token, Operation::Response);
                self.settle(token);
            }
            Err(error) => {
                log::debug!("vsock: the guest can't connect to port {}: {error}", ports.host);
                self.replies.push_back(header.rst());
            }
        }
    }

    /// Asks the guest to accept a program that has sent its port. A program that has not is dropped if `is_all`: it will send no more.
    fn greet(&mut self, token: u64, is_all: bool) {
        let Some(socket) = self.greetings.get(&token) else { return };
        let port = match Greeting::read(socket) {
            Greeting::Partial if !is_all => return,
            Greeting::Connect(port) => Some(port),
            Greeting::Partial | Greeting::Bad => None,
        };
        let (Some(stream), Some(guest)) = (self.greetings.remove(&token), port) else { return };
        if self.connections.len() < MOST_CONNECTIONS {
            let ports = Ports { guest, host: self.free_port(guest) };
            self.insert(token, Connection::new(ports, Stage::Asked, stream));
            self.reply(token, Operation::Request);
        }
    }

    /// Tells the program that the guest has accepted it.
    fn open(&mut self, token: u64, header: &Header) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let line = format!("OK {}\n", connection.ports.host);
        // Nothing else was sent before, so there is room for a line.
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        if send(connection.stream(), line.as_bytes(), flags) == Ok(line.len()) {
            connection.stage = Stage::Open;
            self.settle(token);
        } else {
            self.replies.push_back(header.rst());
            self.remove(token);
        }
    }

    /// Withdraws the request to the guest, since the program has gone.
    fn withdraw(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let ports = connection.ports;
        let is_request =
            |packet: &Header| packet.op.get() == Operation::Request as u16 && packet.rst().ports() == ports;
        match self.replies.iter().position(is_request) {
            // The guest has not seen the request yet.
            Some(at) => {
                self.replies.remove(at);
            }
            None => self.reply(token, Operation::Rst),
        }
        self.remove(token);
    }

    /// Ends the guest's part. The program still gets what the guest has sent.
    fn leave(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        if connection.stage == Stage::Asked {
            return self.remove(token);
        }
        self.tokens.remove(&connection.ports);
        connection.stage = Stage::Left;
        connection.guest_ends(Shutdown::all());
        self.settle(token);
    }

    /// Does what a connection needs after a change.
    fn settle(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        if connection.ends_anew() {
            self.replies.push_back(connection.packet(self.cid, Operation::Shutdown));
        }
        if connection.is_over() {
            return self.remove(token);
        }
        if connection.has_credit_to_give() {
            self.replies.push_back(connection.packet(self.cid, Operation::CreditUpdate));
        }
        if connection.asks_for_credit() {
            self.replies.push_back(connection.packet(self.cid, Operation::CreditRequest));
        }
        if connection.wants_to_read() && !std::mem::replace(&mut connection.queued, true) {
            self.ready.push_back(token);
        }
    }

    /// Queues a packet of a connection for the guest.
    fn reply(&mut self, token: u64, op: Operation) {
        if let Some(connection) = self.connections.get_mut(&token) {
            self.replies.push_back(connection.packet(self.cid, op));
        }
    }

    fn insert(&mut self, token: u64, connection: Connection) {
        self.tokens.insert(connection.ports, token);
        self.connections.insert(token, connection);
    }

    /// Removes a connection, and closes its stream.
    fn remove(&mut self, token: u64) {
        let Some(connection) = self.connections.remove(&token) else { return };
        if connection.stage != Stage::Left {
            self.tokens.remove(&connection.ports);
        }
        if connection.queued {
            self.ready.retain(|ready| *ready != token);
        }
    }

    /// A free port for the host's end of a connection to the guest's port `guest`. There are more ports than connections.
    fn free_port(&mut self, guest: u32) -> u32 {
        loop {
            let host = self.next_port;
            self.next_port = if host == LAST_PORT { FIRST_PORT } else { host + 1 };
            if !self.tokens.contains_key(&Ports { guest, host }) {
                return host;
            }
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Connections {
    pub(super) fn check(&self) {
        assert!(self.greetings.len() <= MOST_GREETINGS && self.connections.len() <= MOST_CONNECTIONS);
        assert!(self.ready.len() <= self.connections.len() && self.tokens.len() <= self.connections.len());
        let room = super::connection::ROOM as usize;
        assert!(self.connections.values().all(|connection| connection.waiting() <= room));
    }
}

#[cfg(test)]
#[path = "connections_test.rs"]
mod tests;
