//! Frames from the guest.

use std::{io::ErrorKind, sync::Arc};

use vm_memory::VolatileSlice;
use vmm_sys_util::epoll::EventSet;

use super::{
    counters::{Reason, Tally},
    lasting::Lasting,
    receive::{BATCH, MOST_PIECES, SHORTEST},
    waits::Waits,
};
use crate::{
    net::{LONGEST, Network, Port},
    virtio::{
        queue::Buffers,
        serve::{ServeError, Served},
    },
    worker::Stop,
};

/// Serves a transmit queue.
#[derive(Debug)]
pub(super) struct Transmit {
    pair: u16,
    host: Arc<dyn Network>,
    lasting: Lasting,
    header_len: usize,
}

impl Transmit {
    pub(super) fn new(pair: u16, host: Arc<dyn Network>, lasting: Lasting, header_len: usize) -> Self {
        Self { pair, host, lasting, header_len }
    }

    /// Serves the queue until told to stop. While the host accepts no more, frames stay in the queue.
    pub(super) fn run(&self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        let port = self.host.port(self.pair);
        let mut waits = Waits::new(queue.kick(), port.descriptor(), EventSet::OUT)?;
        loop {
            let full = loop {
                let Some(chain) = queue.next()? else { break self.is_full(port) };
                if !self.send(port, &chain.readable, queue.stop()) {
                    queue.put_back();
                    break true;
                }
                queue.give_back(chain.head, 0)?;
                queue.interrupt_after(BATCH)?;
            };
            queue.tell()?;
            if queue.stop().is_set() {
                return Ok(());
            }
            waits.wait(full)?;
        }
    }

    /// Returns whether the host still has to accept the rest of a frame.
    fn is_full(&self, port: &dyn Port) -> bool {
        match port.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            // If the host's side is gone, the next frame reports it.
            _ => false,
        }
    }

    /// Sends or drops a frame. Returns false if it can't be sent yet.
    pub(super) fn send(&self, port: &dyn Port, frame: &Buffers<'_>, stop: &Stop) -> bool {
        let len = frame.len();
        if !(self.header_len + SHORTEST..=LONGEST).contains(&len) {
            self.tally().dropped(Reason::Malformed);
            return true;
        }
        if !self.lasting.link.is_up() {
            self.tally().dropped(Reason::LinkDown);
            return true;
        }
        let mut copy = Vec::new();
        let whole;
        let pieces = if frame.as_slice().len() <= MOST_PIECES {
            frame.as_slice()
        } else {
            copy.resize(len, 0);
            let mut filled = 0;
            for piece in frame.as_slice() {
                filled += piece.copy_to(&mut copy[filled..]);
            }
            whole = [VolatileSlice::from(&mut copy[..])];
            &whole
        };
        loop {
            match port.send(pieces) {
                Ok(()) => self.tally().passed(len - self.header_len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    if stop.is_set() {
                        return false;
                    }
                    continue;
                }
                Err(error) => {
                    if error.kind() != ErrorKind::InvalidInput {
                        self.lasting.link.said_not_sent.warn(format_args!(
                            "net {}: frames of the guest can't be sent: {error}",
                            self.host.name()
                        ));
                    }
                    self.tally().dropped(Reason::Refused);
                }
            }
            return true;
        }
    }

    fn tally(&self) -> &Tally {
        &self.lasting.counters.pair(self.pair).sent
    }
}

#[cfg(test)]
#[path = "transmit_test.rs"]
mod tests;
