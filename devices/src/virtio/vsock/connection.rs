//! A connection between a program in the guest and one on the host, with the bytes in transit.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    io::Errno,
    net::{SendFlags, send, shutdown},
};
use vm_memory::VolatileSlice;

use super::packet::{Header, Operation, Ports, Shutdown};
use crate::{vectored, virtio::queue::Buffers};

/// The number of bytes from the guest that are kept for a program that does not read: `buf_alloc`.
pub(super) const ROOM: u32 = 128 << 10;
/// The guest is told about free room once there is this much that it does not know of.
const WORTH_TELLING: u32 = ROOM / 2;

/// The stage of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The guest has been asked to accept it.
    Asked,
    Open,
    /// The guest has left it. Bytes that it sent before may still be in transit.
    Left,
}

/// The result of reading from the host's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Some(u32),
    Nothing,
    End,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) ports: Ports,
    pub(super) stage: Stage,
    stream: OwnedFd,
    /// Bytes from the guest. Those before `sent` have been passed on.
    buffer: Vec<u8>,
    sent: usize,
    /// The number of bytes passed on, and the number that the guest knows of.
    fwd_cnt: u32,
    fwd_cnt_told: u32,
    /// The guest's room, by its last packet, and the number of bytes that were sent to it.
    guest_buf_alloc: u32,
    guest_fwd_cnt: u32,
    given: u32,
    /// The guest was asked for credit and has given none since.
    credit_asked: bool,
    /// The directions (sending, receiving) that the guest has ended, and those that it knows the program to have ended.
    guest_ended: Shutdown,
    told_ended: Shutdown,
    /// There may be bytes to read.
    readable: bool,
    /// The program has ended sending, and all of its bytes were read.
    at_end: bool,
    /// The program accepts no more bytes.
    refuses: bool,
    /// The connection is in the queue of those to read from.
    pub(super) queued: bool,
}

impl Connection {
    pub(super) fn new(ports: Ports, stage: Stage, stream: OwnedFd) -> Self {
        Self {
            ports,
            stage,
            stream,
            buffer: Vec::new(),
            sent: 0,
            fwd_cnt: 0,
            fwd_cnt_told: 0,
            guest_buf_alloc: 0,
            guest_fwd_cnt: 0,
            given: 0,
            credit_asked: false,
            guest_ended: Shutdown::empty(),
            told_ended: Shutdown::empty(),
            readable: true,
            at_end: false,
            refuses: false,
            queued: false,
        }
    }

    pub(super) fn stream(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Makes a packet of the connection to the guest.
    pub(super) fn packet(&mut self, cid: u32, op: Operation) -> Header {
        self.fwd_cnt_told = self.fwd_cnt;
        Header {
            flags: if op == Operation::Shutdown { self.told_ended.bits().into() } else { 0.into() },
            buf_alloc: ROOM.into(),
            fwd_cnt: self.fwd_cnt.into(),
            ..Header::to_guest(cid, self.ports, op)
        }
    }

    /// Records the guest's room as in the packet.
    pub(super) fn take_credit(&mut self, header: &Header) {
        self.guest_buf_alloc = header.buf_alloc.get();
        self.guest_fwd_cnt = header.fwd_cnt.get();
        if self.credit() > 0 {
            self.credit_asked = false;
        }
    }

    /// The number of bytes that the guest has room for.
    pub(super) fn credit(&self) -> u32 {
        self.guest_buf_alloc.saturating_sub(self.given.wrapping_sub(self.guest_fwd_cnt))
    }

    /// The number of bytes from the guest that there is room for.
    fn room(&self) -> usize {
        (ROOM as usize).saturating_sub(self.waiting())
    }

    /// Returns whether the guest may send `len` bytes.
    pub(super) fn takes(&self, len: usize) -> bool {
        len <= self.room() && !self.guest_ended.contains(Shutdown::SEND)
    }

    /// The number of bytes from the guest that the program has not accepted yet.
    pub(super) fn waiting(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// Returns whether it would be read from if the guest had room.
    fn may_read(&self) -> bool {
        self.stage == Stage::Open
            && self.readable
            && !self.at_end
            && !self.guest_ended.contains(Shutdown::RECEIVE)
    }

    /// Returns whether it should be read from now.
    pub(super) fn wants_to_read(&self) -> bool {
        self.may_read() && self.credit() > 0
    }

    /// Returns whether the guest should be asked for credit. Returns true only once until the guest gives some.
    pub(super) fn asks_for_credit(&mut self) -> bool {
        self.may_read() && self.credit() == 0 && !std::mem::replace(&mut self.credit_asked, true)
    }

    /// Returns whether the guest should be told of more room.
    pub(super) fn has_credit_to_give(&self) -> bool {
        self.stage == Stage::Open && self.fwd_cnt.wrapping_sub(self.fwd_cnt_told) >= WORTH_TELLING
    }

    /// Handles an event of the stream, and passes on what it can.
    pub(super) fn on_event(&mut self, readable: bool, hung_up: bool) {
        self.readable |= readable || hung_up;
        if hung_up {
            self.refuse();
        }
        self.flush();
    }

    /// Records what the guest has ended, and shows it to the program.
    pub(super) fn guest_ends(&mut self, ended: Shutdown) {
        self.guest_ended |= ended;
        if ended.contains(Shutdown::RECEIVE) {
            // It fails only if the program has gone.
            let _ = shutdown(&self.stream, rustix::net::Shutdown::Read);
        }
        self.flush();
    }

    /// Returns whether the guest has ended both sending and receiving.
    pub(super) fn guest_has_ended(&self) -> bool {
        self.guest_ended == Shutdown::all()
    }

    /// Returns whether the program has ended sending or receiving and the guest does not know that yet. The caller must tell it now, with
    /// [`Operation::Shutdown`].
    pub(super) fn ends_anew(&mut self) -> bool {
        let mut ended = Shutdown::empty();
        ended.set(Shutdown::SEND, self.at_end);
        ended.set(Shutdown::RECEIVE, self.refuses);
        if self.is_over() {
            ended = Shutdown::all();
        }
        self.stage == Stage::Open && std::mem::replace(&mut self.told_ended, ended) != ended
    }

    /// Returns whether no more bytes can pass in either direction.
    pub(super) fn is_over(&self) -> bool {
        let to_guest = self.at_end || self.guest_ended.contains(Shutdown::RECEIVE);
        let to_host = self.guest_ended.contains(Shutdown::SEND) && self.waiting() == 0;
        self.stage != Stage::Asked && to_guest && (to_host || self.refuses)
    }

    /// Reads into `room`, which must not exceed the guest's credit.
    pub(super) fn read(&mut self, room: &[VolatileSlice<'_>]) -> Received {
        let read = loop {
            match vectored::receive(&self.stream, room) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match read.map(u32::try_from) {
            Ok(Ok(len @ 1..)) => {
                self.given = self.given.wrapping_add(len);
                Received::Some(len)
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                self.readable = false;
                Received::Nothing
            }
            ended => {
                self.at_end = true;
                if ended.is_err() {
                    self.refuse();
                }
                Received::End
            }
        }
    }

    /// Passes on the first `len` bytes of `data`, or keeps them. It must [take](Connection::takes) them.
    pub(super) fn write(&mut self, data: &Buffers<'_>, len: usize) {
        let mut done = 0;
        while self.waiting() == 0 && done < len && !self.refuses {
            let pieces: Vec<_> = data.range(done, len - done).collect();
            match vectored::send_now(&self.stream, &pieces) {
                Ok(sent) => done += sent,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => self.refuse(),
            }
        }
        // Drop what the program does not accept.
        if self.refuses {
            done = len;
        }
        self.forward(done);
        if done < len {
            self.buffer.drain(..std::mem::take(&mut self.sent));
            for piece in data.range(done, len - done) {
                let start = self.buffer.len();
                self.buffer.resize(start + piece.len(), 0);
                piece.copy_to(&mut self.buffer[start..]);
            }
        }
    }

    /// Passes on as much as the program accepts.
    fn flush(&mut self) {
        while self.waiting() > 0 {
            match send(&self.stream, &self.buffer[self.sent..], SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => {
                    self.sent += sent;
                    self.forward(sent);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.refuse(),
            }
        }
        (self.buffer, self.sent) = (Vec::new(), 0);
        if self.guest_ended.contains(Shutdown::SEND) {
            // It fails only if the program has gone.
            let _ = shutdown(&self.stream, rustix::net::Shutdown::Write);
        }
    }

    fn forward(&mut self, len: usize) {
        self.fwd_cnt = self.fwd_cnt.wrapping_add(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// Records that the program accepts no more bytes.
    fn refuse(&mut self) {
        self.forward(self.waiting());
        (self.buffer, self.sent) = (Vec::new(), 0);
        self.refuses = true;
    }
}

#[cfg(test)]
#[path = "connection_test.rs"]
mod tests;
