//! Frames to the guest.

use std::{io, io::ErrorKind, sync::Arc};

use virtio_bindings::virtio_net::{
    VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_ECN, VIRTIO_NET_HDR_GSO_NONE, VIRTIO_NET_HDR_GSO_TCPV4,
    VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_UDP, VIRTIO_NET_HDR_GSO_UDP_L4,
};
use vm_memory::VolatileSlice;
use vmm_sys_util::epoll::EventSet;

pub(super) use super::held::MOST_PIECES;
use super::{
    counters::{Reason, Tally},
    features::{self, MRG_RXBUF},
    held::{Given, Held},
    lasting::Lasting,
    state::{Settings, State},
    waits::Waits,
};
use crate::{
    net::{HEADER_LEN, LONGEST, Network, Offloads},
    virtio::serve::{ServeError, Served},
};

/// The number of successive frames after which an interrupt reports them, if they take up less than half of the queue: as many as Linux
/// takes at a time.
pub(super) const BATCH: u32 = 64;

/// The shortest frame: only an Ethernet header.
pub(super) const SHORTEST: usize = 14;

/// Serves a receive queue.
#[derive(Debug)]
pub(super) struct Receive {
    pair: u16,
    host: Arc<dyn Network>,
    lasting: Lasting,
    settings: Arc<Settings>,
    /// The negotiated features.
    features: u64,
    header_len: usize,
    mode: Mode,
    /// The length of a frame that waits for buffers.
    waiting: Option<usize>,
}

/// This thread's copy of the driver's settings.
#[derive(Debug)]
struct Mode {
    state: State,
    generation: u32,
    offloads: Offloads,
}

impl Receive {
    pub(super) fn new(
        pair: u16,
        host: Arc<dyn Network>,
        lasting: Lasting,
        settings: Arc<Settings>,
        features: u64,
    ) -> Self {
        let mode = Mode::new(&settings);
        let header_len = features::header_len(features);
        Self { pair, host, lasting, settings, features, header_len, mode, waiting: None }
    }

    /// Serves the queue until told to stop. While it has no buffers, frames stay on the host.
    pub(super) fn run(&mut self, queue: &mut Served<'_>) -> Result<(), ServeError> {
        let port = self.host.port(self.pair).descriptor();
        let mut waits = Waits::new(queue.kick(), port, EventSet::IN)?;
        let mut spill = vec![0; LONGEST];
        let (mergeable, counted) = (self.features & MRG_RXBUF != 0, self.header_len == HEADER_LEN);
        let mut held = Held::new(VolatileSlice::from(&mut spill[..]), mergeable, counted);
        loop {
            let for_port = self.pass_on(queue, &mut held)?;
            queue.tell()?;
            if queue.stop().is_set() {
                break;
            }
            waits.wait(for_port)?;
        }
        if self.waiting.take().is_some() {
            self.tally().dropped(Reason::NoRoom);
        }
        held.put_back(queue);
        Ok(())
    }

    /// Passes on frames as long as there are frames and buffers. Returns whether it stopped for lack of frames.
    fn pass_on<'m: 's, 's>(
        &mut self,
        queue: &mut Served<'m>,
        held: &mut Held<'m, 's>,
    ) -> Result<bool, ServeError> {
        let host = Arc::clone(&self.host);
        let port = host.port(self.pair);
        while !queue.stop().is_set() {
            self.mode.follow(&self.settings);
            if self.pair >= self.mode.state.pairs || self.lasting.link.is_gone() {
                return Ok(false);
            }
            let link_up = self.lasting.link.is_up();
            if let Some(len) = self.waiting {
                match held.give(queue, len)? {
                    Given::All => self.tally().passed(len - self.header_len),
                    Given::TooLong => self.tally().dropped(Reason::NoRoom),
                    Given::Waits if link_up => return Ok(false),
                    Given::Waits => self.tally().dropped(Reason::LinkDown),
                }
                self.waiting = None;
                queue.interrupt_after(BATCH)?;
                continue;
            }
            if link_up && !held.fill(queue)? {
                return Ok(false);
            }
            let pieces = if link_up { held.pieces() } else { held.spill() };
            match port.receive(pieces) {
                Ok(_) if !link_up || !self.lasting.link.is_up() => self.tally().dropped(Reason::LinkDown),
                Ok(len) => {
                    self.take(len, held);
                    if self.waiting.is_none() {
                        // Frames that were passed on must not wait for the end of a flood of dropped ones.
                        queue.tell()?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // An error of a port that is no longer used is ignored.
                Err(_) if self.mode.is_old(&self.settings) => {}
                Err(error) => self.gone(&error, queue),
            }
        }
        Ok(false)
    }

    /// Checks a received frame of `len` bytes: it then waits for buffers, or is dropped.
    fn take(&mut self, len: usize, held: &Held<'_, '_>) {
        // The driver may have changed its settings meanwhile.
        self.mode.follow(&self.settings);
        let start = held.start::<{ HEADER_LEN + 6 }>();
        let [flags, gso_type, ..] = start;
        if !(self.header_len + SHORTEST..=LONGEST).contains(&len)
            || !may_ask(self.mode.offloads, flags, gso_type)
        {
            self.tally().dropped(Reason::Malformed);
            return;
        }
        let to = std::array::from_fn(|byte| start[self.header_len + byte]);
        if !self.mode.state.filter.wants(to, self.mode.state.mac) {
            self.tally().dropped(Reason::Unwanted);
            return;
        }
        // Without checksum offload, the driver does not know these flags.
        if flags != 0 && !self.mode.offloads.contains(Offloads::CSUM) {
            held.patch(0, &mut [0]);
        }
        self.waiting = Some(len);
    }

    /// Takes the link down, as no more frames will come.
    fn gone(&self, error: &io::Error, queue: &Served<'_>) {
        if self.lasting.link.set_gone(&self.host.name(), error) {
            queue.config_changed();
        }
    }

    fn tally(&self) -> &Tally {
        &self.lasting.counters.pair(self.pair).received
    }
}

impl Mode {
    fn new(settings: &Settings) -> Self {
        let (state, generation) = settings.get();
        Self { offloads: features::guest_offloads(state.guest_offloads), state, generation }
    }

    fn is_old(&self, settings: &Settings) -> bool {
        settings.generation() != self.generation
    }

    fn follow(&mut self, settings: &Settings) {
        if self.is_old(settings) {
            *self = Self::new(settings);
        }
    }
}

/// Returns whether a frame with this header may be passed to a driver that accepts `offloads`: the host may have received it while others
/// were set.
fn may_ask(offloads: Offloads, flags: u8, gso_type: u8) -> bool {
    let mut needed = Offloads::empty();
    needed.set(Offloads::CSUM, u32::from(flags) & VIRTIO_NET_HDR_F_NEEDS_CSUM != 0);
    let gso_type = u32::from(gso_type);
    needed.set(Offloads::ECN, gso_type & VIRTIO_NET_HDR_GSO_ECN != 0);
    needed |= match gso_type & !VIRTIO_NET_HDR_GSO_ECN {
        VIRTIO_NET_HDR_GSO_NONE => Offloads::empty(),
        VIRTIO_NET_HDR_GSO_TCPV4 => Offloads::TSO4,
        VIRTIO_NET_HDR_GSO_TCPV6 => Offloads::TSO6,
        VIRTIO_NET_HDR_GSO_UDP => Offloads::UFO,
        VIRTIO_NET_HDR_GSO_UDP_L4 => Offloads::USO,
        _ => return false,
    };
    offloads.contains(needed)
}

#[cfg(test)]
#[path = "receive_test.rs"]
mod tests;
