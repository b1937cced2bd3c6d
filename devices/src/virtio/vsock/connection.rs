//! A connection between a program of the guest and one of the host, and the bytes on their way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    io::Errno,
    net::{SendFlags, send, shutdown},
};
use vm_memory::VolatileSlice;

use super::packet::{Header, Operation, Ports, Shutdown};
use crate::{vectored, virtio::queue::Buffers};

/// Bytes of the guest's that are kept for a program that does not read: `buf_alloc`.
pub(super) const ROOM: u32 = 128 << 10;
/// The guest is told of room once so much of it has become free that it does not know of.
const WORTH_TELLING: u32 = ROOM / 2;

/// A connection's stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The guest is asked to accept it.
    Asked,
    Open,
    /// The guest has left it. What it sent before is still on its way.
    Left,
}

/// The result of a try to read from the host's program.
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
    /// From the guest, and not yet sent on; the bytes before `sent` are.
    buffer: Vec<u8>,
    sent: usize,
    /// Bytes sent on, and those that the guest was told of.
    fwd_cnt: u32,
    fwd_cnt_told: u32,
    /// The guest's room, by its last packet, and the bytes that were given to it.
    guest_buf_alloc: u32,
    guest_fwd_cnt: u32,
    given: u32,
    /// The guest was asked for credit and has given none since.
    credit_asked: bool,
    /// The guest does this no more, and what it was told that the program does no more.
    guest_ended: Shutdown,
    told_ended: Shutdown,
    /// There may be something to read.
    readable: bool,
    /// The program sends no more, and all that it sent was read.
    at_end: bool,
    /// The program takes nothing any more.
    refuses: bool,
    /// The connection waits in the queue of those to read from.
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

    /// A packet of it to the guest.
    pub(super) fn packet(&mut self, cid: u32, op: Operation) -> Header {
        self.fwd_cnt_told = self.fwd_cnt;
        Header {
            flags: if op == Operation::Shutdown { self.told_ended.bits().into() } else { 0.into() },
            buf_alloc: ROOM.into(),
            fwd_cnt: self.fwd_cnt.into(),
            ..Header::to_guest(cid, self.ports, op)
        }
    }

    /// Takes note of the room that the guest says it has.
    pub(super) fn take_credit(&mut self, header: &Header) {
        self.guest_buf_alloc = header.buf_alloc.get();
        self.guest_fwd_cnt = header.fwd_cnt.get();
        if self.credit() > 0 {
            self.credit_asked = false;
        }
    }

    /// Bytes that the guest has room for.
    pub(super) fn credit(&self) -> u32 {
        self.guest_buf_alloc.saturating_sub(self.given.wrapping_sub(self.guest_fwd_cnt))
    }

    /// Bytes that there is room for from the guest.
    fn room(&self) -> usize {
        (ROOM as usize).saturating_sub(self.waiting())
    }

    /// Returns whether the guest may send `len` bytes.
    pub(super) fn takes(&self, len: usize) -> bool {
        len <= self.room() && !self.guest_ended.contains(Shutdown::SEND)
    }

    /// Bytes of the guest's that the program has not taken.
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

    /// Returns whether it is to be read from now.
    pub(super) fn wants_to_read(&self) -> bool {
        self.may_read() && self.credit() > 0
    }

    /// Returns whether the guest is to be asked for credit, and says so once until it gives some.
    pub(super) fn asks_for_credit(&mut self) -> bool {
        self.may_read() && self.credit() == 0 && !std::mem::replace(&mut self.credit_asked, true)
    }

    /// Returns whether the guest should know of more room.
    pub(super) fn has_credit_to_give(&self) -> bool {
        self.stage == Stage::Open && self.fwd_cnt.wrapping_sub(self.fwd_cnt_told) >= WORTH_TELLING
    }

    /// Takes note of an event of the stream, and sends on what can be.
    pub(super) fn on_event(&mut self, readable: bool, hung_up: bool) {
        self.readable |= readable || hung_up;
        if hung_up {
            self.refuse();
        }
        self.flush();
    }

    /// Takes note of what the guest does no more, and has the program see it.
    pub(super) fn guest_ends(&mut self, ended: Shutdown) {
        self.guest_ended |= ended;
        if ended.contains(Shutdown::RECEIVE) {
            // An error: the program has gone.
            let _ = shutdown(&self.stream, rustix::net::Shutdown::Read);
        }
        self.flush();
    }

    /// Returns whether the guest said that it neither sends nor receives.
    pub(super) fn guest_has_ended(&self) -> bool {
        self.guest_ended == Shutdown::all()
    }

    /// Returns whether the guest does not know yet that the program sends or receives no more, and takes for granted that it is told
    /// now, by [`Operation::Shutdown`].
    pub(super) fn ends_anew(&mut self) -> bool {
        let mut ended = Shutdown::empty();
        ended.set(Shutdown::SEND, self.at_end);
        ended.set(Shutdown::RECEIVE, self.refuses);
        if self.is_over() {
            ended = Shutdown::all();
        }
        self.stage == Stage::Open && std::mem::replace(&mut self.told_ended, ended) != ended
    }

    /// Returns whether no byte will pass any more, in either direction.
    pub(super) fn is_over(&self) -> bool {
        let to_guest = self.at_end || self.guest_ended.contains(Shutdown::RECEIVE);
        let to_host = self.guest_ended.contains(Shutdown::SEND) && self.waiting() == 0;
        self.stage != Stage::Asked && to_guest && (to_host || self.refuses)
    }

    /// Reads into `room`, in which there is no more than the guest's credit.
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

    /// Sends the first `len` bytes of `data` on, or keeps them. It [takes](Connection::takes) them.
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
        // Nobody takes what the program does not.
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

    /// Sends on what the program takes.
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
            // An error: the program has gone.
            let _ = shutdown(&self.stream, rustix::net::Shutdown::Write);
        }
    }

    fn forward(&mut self, len: usize) {
        self.fwd_cnt = self.fwd_cnt.wrapping_add(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// Takes note that the program takes nothing any more.
    fn refuse(&mut self) {
        self.forward(self.waiting());
        (self.buffer, self.sent) = (Vec::new(), 0);
        self.refuses = true;
    }
}

#[cfg(test)]
#[path = "connection_test.rs"]
mod tests;
