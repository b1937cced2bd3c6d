//! A serial port around a back end, for tests.

use std::{
    fmt::Debug,
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Backend, Input};

/// The port. Its guest reads if it `takes`.
#[derive(Debug)]
pub(super) struct Port<B> {
    pub(super) backend: B,
    pub(super) input: Input,
    pub(super) takes: bool,
    pub(super) seen: Vec<u8>,
}

impl<B: Backend> Port<B> {
    pub(super) fn new(backend: B) -> Self {
        Self { backend, input: Input::default(), takes: true, seen: Vec::new() }
    }

    /// Returns whether the back end has nothing to do now.
    pub(super) fn is_idle(&self) -> bool {
        let fd = self.backend.fd().unwrap();
        poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&Timespec::default())) == Ok(0)
    }

    /// Runs the main loop once.
    pub(super) fn turn(&mut self) {
        if !self.is_idle() {
            self.backend.serve(&mut self.input);
        }
        if self.takes {
            // The size of a FIFO.
            let seen = &mut self.seen;
            let made_room = self.input.deliver(|bytes| {
                let len = bytes.len().min(64);
                seen.extend(&bytes[..len]);
                len
            });
            if made_room {
                self.backend.serve(&mut self.input);
            }
        }
    }

    /// Runs the main loop until the condition holds.
    pub(super) fn until(&mut self, mut condition: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < Duration::from_secs(60), "{self:?}");
            self.turn();
            if self.is_idle() && self.input.is_empty() {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Runs the main loop until the guest has received this much.
    pub(super) fn until_seen(&mut self, text: &[u8]) {
        self.until(|port| port.seen.len() >= text.len());
        assert!(self.seen == text, "{} bytes, and {} expected", self.seen.len(), text.len());
    }

    /// Runs the main loop until nothing is left to do. Never returns if the back end spins.
    pub(super) fn settle(&mut self) {
        let start = Instant::now();
        while !self.is_idle() {
            assert!(start.elapsed() < Duration::from_secs(60), "it always has something to do: {self:?}");
            self.turn();
        }
    }

    /// Writes as the guest.
    pub(super) fn print(&self, text: &[u8]) {
        self.backend.output().unwrap().write_all(text).unwrap();
    }
}

/// Reads exactly this many bytes, running the main loop meanwhile.
pub(super) fn read<B: Backend>(port: &mut Port<B>, mut peer: impl Read + Debug, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut have = 0;
    port.until(|_| {
        match peer.read(&mut bytes[have..]) {
            Ok(0) => panic!("{peer:?} hung up after {:?}", String::from_utf8_lossy(&bytes[..have])),
            Ok(more) => have += more,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        have == len
    });
    bytes
}

/// Reads until the other side hangs up, running the main loop meanwhile.
pub(super) fn read_to_end<B: Backend>(port: &mut Port<B>, mut peer: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    port.until(|_| peer.read_to_end(&mut bytes).is_ok());
    bytes
}
