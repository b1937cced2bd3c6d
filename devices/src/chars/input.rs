//! Input on its way from a peer to the guest.

use std::collections::VecDeque;

/// Bytes that were read from a peer and that the guest has not read yet. Room is limited, so that a peer waits for a guest that does not
/// read.
#[derive(Debug)]
pub struct Input {
    bytes: VecDeque<u8>,
    capacity: usize,
}

impl Input {
    /// A sufficient capacity where the rest waits with the peer: what a pipe takes at once (`PIPE_BUF`).
    pub const CAPACITY: usize = 4096;

    /// Makes an input with room for `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::new(), capacity }
    }

    /// The number of bytes that [`Input::push`] takes now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }

    /// Adds as much of `bytes` as there is room for, and returns that number.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.room());
        self.bytes.extend(&bytes[..len]);
        len
    }

    /// Adds all of `bytes`, even without room. The caller limits them, and a peer waits until there is room again.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Puts back bytes that the guest did not take after all, in front of the others. There is always room for them.
    pub fn put_back(&mut self, bytes: &[u8]) {
        bytes.iter().rev().for_each(|&byte| self.bytes.push_front(byte));
    }

    /// Returns whether the guest has read everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Offers the oldest bytes to `give`, which returns how many of them it took. Returns whether a full input has room again: then call
    /// [`serve`](super::Backend::serve).
    pub fn deliver(&mut self, give: impl FnOnce(&[u8]) -> usize) -> bool {
        let was_full = self.room() == 0;
        if !self.bytes.is_empty() {
            let taken = give(self.bytes.make_contiguous());
            self.bytes.drain(..taken.min(self.bytes.len()));
        }
        was_full && self.room() > 0
    }
}

impl Default for Input {
    fn default() -> Self {
        Self::new(Self::CAPACITY)
    }
}

#[cfg(test)]
#[path = "input_test.rs"]
mod tests;
