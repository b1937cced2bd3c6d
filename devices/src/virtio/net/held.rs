//! The buffers that the next frames go to.

use std::collections::VecDeque;

use vm_memory::VolatileSlice;

use crate::{
    net::LONGEST,
    virtio::{
        queue::{Chain, QueueError},
        serve::Served,
    },
};

/// The most pieces of memory that a frame is received into, or sent from: the kernel takes 1024, and each costs time.
pub(super) const MOST_PIECES: usize = 256;

/// As long as the last frames were no longer than this, the next is received into one buffer and copied: that takes less
/// time than the kernel takes over a list of buffers.
const COPIED: usize = 2048;

/// Chains that were taken off a receive queue and not given back, in order, and a buffer for what is not received into them.
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
    /// Bytes in them.
    room: usize,
    /// Descriptors of the queue's table that they take up, and the most that one does.
    descriptors: usize,
    largest: usize,
    /// A frame may be spread over several chains.
    mergeable: bool,
    /// The header says over how many.
    counted: bool,
    /// The bytes that are best in chains: nearly those of the longest of the last frames.
    wanted: usize,
    spill: VolatileSlice<'s>,
    /// The memory that the next frame is received into.
    pieces: Vec<VolatileSlice<'s>>,
    /// Bytes in those that are of chains.
    direct: usize,
}

/// The end of [`Held::give`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// The driver has the frame.
    All,
    /// It is in the buffers that are held, and more are needed.
    Waits,
    /// The driver's buffers can never hold it.
    TooLong,
}

impl<'m: 's, 's> Held<'m, 's> {
    /// None, and a `spill` of [`LONGEST`] bytes.
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

    /// Takes as many chains as are likely to hold the next frame; `false`: there is none, and the driver will kick.
    pub(super) fn fill(&mut self, queue: &mut Served<'m>) -> Result<bool, QueueError> {
        if self.chains.is_empty() {
            let Some(chain) = queue.next()? else { return Ok(false) };
            self.take(chain);
        }
        // A hostile driver makes chains without room available for ever: no more than the queue can hold at a time.
        while self.mergeable && self.room < self.wanted && self.has_more(queue) {
            let Some(chain) = queue.next_if_any()? else { break };
            self.take(chain);
        }
        Ok(true)
    }

    /// Returns whether the driver can have another chain as long as those that are held.
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

    /// Returns the memory for a frame that nobody will see.
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

    /// Changes bytes at the front of that frame, which has them.
    pub(super) fn patch(&self, at: usize, bytes: &mut [u8]) {
        copy(&VolatileSlice::from(bytes), &self.pieces, at);
    }

    /// Gives a frame of `len` bytes, received into [`Held::pieces`], to the driver.
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

    /// Returns how many of the chains a frame of `len` bytes takes; `None` if it does not fit.
    fn chains_for(&self, len: usize) -> Option<usize> {
        let mut room = 0;
        let most = if self.mergeable { self.chains.len() } else { 1 };
        let fits = |chain: &Chain<'_>| {
            room += chain.writable.len();
            room >= len
        };
        self.chains.iter().take(most).position(fits).map(|last| last + 1)
    }

    /// Puts the chains back on the queue, to be taken again.
    pub(super) fn put_back(&mut self, queue: &mut Served<'m>) {
        self.chains.drain(..).for_each(|_| queue.put_back());
    }
}

/// Copies `bytes` to `slices`, from their byte `at` on.
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
