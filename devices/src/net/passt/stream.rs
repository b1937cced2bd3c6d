//! Frames over a stream socket, each with its length before it: four bytes, big-endian.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};
use vm_memory::VolatileSlice;

use super::super::{HEADER_LEN, LONGEST, Port};
use crate::vectored;

/// The length before each frame.
const LEN: usize = 4;
/// The number of bytes to read at once: several of the longest frames.
const READ_AHEAD: usize = 4 * LONGEST;
/// The shortest frame: an Ethernet header. passt closes a connection with a shorter or longer one.
const SHORTEST_FRAME: usize = 14;
const LONGEST_FRAME: usize = 65_535;

/// A port whose peer uses frames without virtio's header. The peer has to accept any Ethernet frame.
#[derive(Debug)]
pub(super) struct Stream {
    socket: OwnedFd,
    /// The length of the header on the guest's side.
    header_len: AtomicUsize,
    incoming: Mutex<Incoming>,
    outgoing: Mutex<Outgoing>,
}

/// Bytes that have been read.
#[derive(Debug)]
struct Incoming {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

/// The last frame with its length, as far as the socket has not accepted it.
#[derive(Debug, Default)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
}

impl Stream {
    /// Takes `socket`, which never blocks.
    pub(super) fn new(socket: OwnedFd) -> Self {
        let incoming = Incoming { bytes: vec![0; READ_AHEAD].into(), start: 0, end: 0 };
        let (header_len, outgoing) = (AtomicUsize::new(HEADER_LEN), Mutex::default());
        Self { socket, header_len, incoming: Mutex::new(incoming), outgoing }
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Sets the length of the frames' header, up to [`HEADER_LEN`].
    pub(super) fn set_header_len(&self, len: usize) {
        self.header_len.store(len.min(HEADER_LEN), Ordering::Relaxed);
    }

    fn header_len(&self) -> usize {
        self.header_len.load(Ordering::Relaxed)
    }
}

impl Port for Stream {
    fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    fn receive(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<usize> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(frame) = incoming.next_frame()? {
                let header = &[0; HEADER_LEN][..self.header_len()];
                scatter(buffers, 0, header)?;
                scatter(buffers, header.len(), frame)?;
                return Ok(header.len() + frame.len());
            }
            incoming.read(&self.socket)?;
        }
    }

    fn send(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        let mut outgoing = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        outgoing.write(&self.socket)?;
        outgoing.put(buffers, self.header_len())?;
        match outgoing.write(&self.socket) {
            // Keep the rest.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            written => written,
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner).write(&self.socket)
    }
}

impl Incoming {
    /// Takes the next frame, if it is complete.
    fn next_frame(&mut self) -> io::Result<Option<&[u8]>> {
        let there = &self.bytes[self.start..self.end];
        let Some((len, rest)) = there.split_first_chunk::<LEN>() else { return Ok(None) };
        let len = u32::from_be_bytes(*len) as usize;
        if len > LONGEST_FRAME {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {len} bytes")));
        }
        if rest.len() < len {
            return Ok(None);
        }
        let start = self.start + LEN;
        self.start = start + len;
        Ok(Some(&self.bytes[start..self.start]))
    }

    /// Reads more. There is room, since no frame fills the buffer.
    fn read(&mut self, socket: &OwnedFd) -> io::Result<()> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        match recv(socket, &mut self.bytes[self.end..], RecvFlags::empty())? {
            (_, 0) => Err(io::ErrorKind::UnexpectedEof.into()),
            (_, len) => {
                self.end += len;
                Ok(())
            }
        }
    }
}

impl Outgoing {
    /// Takes the frame in `buffers`, after its header. The frame before has been sent completely.
    fn put(&mut self, buffers: &[VolatileSlice<'_>], header_len: usize) -> io::Result<()> {
        let total = usize::try_from(vectored::total(buffers)).map_err(io::Error::other)?;
        let len = total.saturating_sub(header_len);
        if !(SHORTEST_FRAME..=LONGEST_FRAME).contains(&len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.bytes.clear();
        self.bytes.extend(u32::try_from(len).map_err(io::Error::other)?.to_be_bytes());
        self.bytes.resize(LEN + len, 0);
        let (mut skip, mut rest) = (header_len, &mut self.bytes[LEN..]);
        for buffer in buffers {
            let part = buffer.offset(skip.min(buffer.len())).map_err(io::Error::other)?;
            skip -= buffer.len() - part.len();
            let copied = part.copy_to(rest);
            rest = &mut rest[copied..];
        }
        Ok(())
    }

    /// Writes as much as the socket accepts.
    fn write(&mut self, socket: &OwnedFd) -> io::Result<()> {
        while self.sent < self.bytes.len() {
            match send(socket, &self.bytes[self.sent..], SendFlags::NOSIGNAL) {
                Ok(sent) => self.sent += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => {
                    self.clear();
                    return Err(error.into());
                }
            }
        }
        self.clear();
        Ok(())
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }
}

/// Writes `bytes` at `offset` of `buffers`, as far as they fit.
fn scatter(buffers: &[VolatileSlice<'_>], offset: usize, mut bytes: &[u8]) -> io::Result<()> {
    let mut skip = offset;
    for buffer in buffers {
        let part = buffer.offset(skip.min(buffer.len())).map_err(io::Error::other)?;
        skip -= buffer.len() - part.len();
        let len = part.len().min(bytes.len());
        part.copy_from(&bytes[..len]);
        bytes = &bytes[len..];
    }
    Ok(())
}

#[cfg(test)]
#[path = "stream_test.rs"]
mod tests;
