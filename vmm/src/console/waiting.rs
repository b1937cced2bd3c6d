//! Input that the guest has not taken yet.

use std::collections::VecDeque;

/// As much of what is typed waits for the guest; what is beyond is lost, as the keys that are nvmm's own must be heard.
const TYPED: usize = 1 << 20;
/// Whoever is at the other end of a pipe or a connection waits.
const SENT: usize = 4096;

/// The bytes that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    bytes: VecDeque<u8>,
    told_of_loss: bool,
}

impl Waiting {
    /// Whether to read more of what somebody else holds meanwhile.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.len() < SENT
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds what was sent.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Adds what was typed, as far as there is room.
    pub(super) fn extend_typed(&mut self, bytes: &[u8]) {
        let room = TYPED.saturating_sub(self.bytes.len());
        if bytes.len() > room && !std::mem::replace(&mut self.told_of_loss, true) {
            log::warn!(
                "the guest reads no input; of what is typed, all after the first {TYPED} bytes is lost"
            );
        }
        self.bytes.extend(bytes.iter().take(room));
    }

    /// Gives away the oldest: `give` says how much it took.
    pub(super) fn deliver(&mut self, give: impl FnOnce(&[u8]) -> usize) {
        if !self.bytes.is_empty() {
            let taken = give(self.bytes.make_contiguous());
            self.bytes.drain(..taken);
        }
    }
}

#[cfg(test)]
#[path = "waiting_test.rs"]
mod tests;
