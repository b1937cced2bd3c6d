//! The buffers for the next frames.

use std::collections::VecDeque;

use vm_memory::VolatileSlice;

use crate::{
    net::LONGEST,
    virtio::{
        queue::{Chain, QueueError},
        serve::Served,
    },
};

/// The most pieces of memory to receive a frame into, or to send it from: the kernel takes 1024, and each costs time.
pub(super) const MOST_PIECES: usize = 256;

/// While the last frames were no longer than this, the next one is received into one buffer and copied: that takes less time than the
/// kernel takes for a list of buffers.
const COPIED: usize = 2048;

/// Chains that were taken off a receive queue and not returned yet, in order, and a buffer for the rest of a frame.
///
/// ```text
///   chains   [ header, frame ........][ ............][ ....]     as many as the last frames were long
///   spill                                                   [ the rest of a longer one: copied to further chains ]
///
///   chains   [                       ]                           while frames are short
///   spill    [ header, frame ]                                   copied
/// ```
#[derive(Debug)]
pub(super) struct Held<'m, 's> {
    chains: VecDeque<Chain<'m>>,
    /// The number of bytes in them.
    room: usize,
    /// The number of descriptors that they take up in the queue's table, and the most that one takes.
    descriptors: usize,
    largest: usize,
    /// A frame may be spread over several chains.
    mergeable: bool,
    /// The header says over how many chains.
    counted: bool,
    /// The desired number of bytes in chains: close to the longest of the last frames.
    wanted: usize,
    spill: VolatileSlice<'s>,
    /// The memory for receiving the next frame.
    pieces: Vec<VolatileSlice<'s>>,
    /// The number of bytes in those pieces that belong to chains.
    direct: usize,
}

/// The result of [`Held::give`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// The driver has the frame.
    All,
    /// The frame is in the held buffers, and needs more.
    Waits,
    /// The frame is too long for the driver's buffers.
    TooLong,
}

impl<'m: 's, 's> Held<'m, 's> {
    /// No chains, and a `spill` of [`LONGEST`] bytes.
    pub(super) fn new(spill: VolatileSlice<'s>, mergeable: bool, counted: bool) -> Self {
        Self {
            chains: VecDeque::new(),
            room: 0,
            descriptors: 0,
            largest: 0,
            mergeable,
            counted,
            wanted: 0,
            spill,
            pieces: Vec::new(),
            direct: 0,
        }
    }

    /// Takes as many chains as are likely to hold the next frame. Returns false if there is none; then the driver will kick.
    pub(super) fn fill(&mut self, queue: &mut Served<'m>) -> Result<bool, QueueError> {
        if self.chains.is_empty() {
            let Some(chain) = queue.next()? else { return Ok(false) };
            self.take(chain);
        }
        // A hostile driver may offer chains without room for ever: take no more than the queue can hold at a time.
        while self.mergeable && self.room < self.wanted && self.has_more(queue) {
            let Some(chain) = queue.next_if_any()? else { break };
            self.take(chain);
        }
        Ok(true)
    }

    /// Returns whether the driver can have another chain as long as the held ones.
    fn has_more(&self, queue: &Served<'m>) -> bool {
        self.descriptors + self.largest <= queue.size().into()
    }

    fn take(&mut self, chain: Chain<'m>) {
        self.room += chain.writable.len();
        self.descriptors += usize::from(chain.descriptors);
        self.largest = self.largest.max(chain.descriptors.into());
        self.chains.push_back(chain);
    }

    /// Returns the memory for the next frame.
    pub(super) fn pieces(&mut self) -> &[VolatileSlice<'s>] {
        self.pieces.clear();
        self.direct = 0;
        if self.wanted <= COPIED {
            self.pieces.push(self.spill);
            return &self.pieces;
        }
        let chains = if self.mergeable { self.chains.len() } else { 1 };
        let slices = self.chains.iter().take(chains).flat_map(|chain| chain.writable.as_slice());
        for slice in slices.take(MOST_PIECES) {
            self.pieces.push(*slice);
            self.direct += slice.len();
            if self.direct >= LONGEST {
                return &self.pieces;
            }
        }
        self.pieces.push(self.spill);
        &self.pieces
    }

    /// Returns memory for a frame that will be dropped.
    pub(super) fn spill(&self) -> &[VolatileSlice<'s>] {
        std::slice::from_ref(&self.spill)
    }

    /// Returns the first bytes of the frame that was received into [`Held::pieces`].
    pub(super) fn start<const N: usize>(&self) -> [u8; N] {
        let (mut bytes, mut filled) = ([0; N], 0);
        for piece in &self.pieces {
            filled += piece.copy_to(&mut bytes[filled..]);
            if filled == N {
                break;
            }
        }
        bytes
    }

    /// Changes bytes at the front of that frame. The frame has at least these bytes.
    pub(super) fn patch(&self, at: usize, bytes: &mut [u8]) {
        copy(&VolatileSlice::from(bytes), &self.pieces, at);
    }

    /// Passes a frame of `len` bytes, which was received into [`Held::pieces`], to the driver.
    pub(super) fn give(&mut self, queue: &mut Served<'m>, len: usize) -> Result<Given, QueueError> {
        let needed = loop {
            if let Some(needed) = self.chains_for(len) {
                break needed;
            }
            if !self.mergeable || !self.has_more(queue) {
                return Ok(Given::TooLong);
            }
            let Some(chain) = queue.next()? else { return Ok(Given::Waits) };
            self.take(chain);
        };
        if self.counted {
            let number = u16::try_from(needed).unwrap_or(u16::MAX);
            self.patch(10, &mut number.to_le_bytes());
        }
        if len > self.direct
            && let Ok(rest) = self.spill.subslice(0, len - self.direct)
        {
            let slices = self.chains.iter().flat_map(|chain| chain.writable.as_slice());
            copy(&rest, slices, self.direct);
        }
        let mut left = len;
        let (room, descriptors) = (&mut self.room, &mut self.descriptors);
        queue.give_back_all(self.chains.drain(..needed).map(|chain| {
            let in_chain = chain.writable.len();
            *room -= in_chain;
            *descriptors -= usize::from(chain.descriptors);
            let written = left.min(in_chain);
            left -= written;
            (chain.head, u32::try_from(written).unwrap_or(u32::MAX))
        }))?;
        self.wanted = len.max(self.wanted - self.wanted / 16);
        Ok(Given::All)
    }

    /// Returns how many of the chains a frame of `len` bytes needs; `None` if it does not fit.
    fn chains_for(&self, len: usize) -> Option<usize> {
        let mut room = 0;
        let most = if self.mergeable { self.chains.len() } else { 1 };
        let fits = |chain: &Chain<'_>| {
            room += chain.writable.len();
            room >= len
        };
        self.chains.iter().take(most).position(fits).map(|last| last + 1)
    }

    /// Puts the chains back on the queue.
    pub(super) fn put_back(&mut self, queue: &mut Served<'m>) {
        self.chains.drain(..).for_each(|_| queue.put_back());
    }
}

/// Copies `bytes` to `slices`, from byte `at` of them on.
fn copy<'s, 'm: 's>(
    bytes: &VolatileSlice<'_>,
    slices: impl IntoIterator<Item = &'s VolatileSlice<'m>>,
    mut at: usize,
) {
    let mut done = 0;
    for slice in slices {
        if done == bytes.len() {
            break;
        }
        let start = at.min(slice.len());
        at -= start;
        let part = (slice.len() - start).min(bytes.len() - done);
        if let (Ok(from), Ok(to)) = (bytes.subslice(done, part), slice.subslice(start, part)) {
            from.copy_to_volatile_slice(to);
        }
        done += part;
    }
}

#[cfg(test)]
#[path = "held_test.rs"]
mod tests;
