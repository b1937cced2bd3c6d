//! The pages of guest RAM that this process writes to, for whoever copies RAM while the guest runs. What the guest writes, KVM knows.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::layout::PAGE;

/// Pages in a word.
const WORD: u64 = u64::BITS as u64;

/// A bit for each page that was written to while this is on: page N is bit N % 64 of word N / 64, as vhost's log has it too.
///
/// While it is off, a write costs one load that needs no order.
#[derive(Debug, Default)]
pub struct Written {
    on: AtomicBool,
    /// Made when it is first switched on.
    words: OnceLock<Box<[AtomicU64]>>,
}

impl Written {
    /// Returns whether writes are noted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Notes writes below `end`, which is the end of RAM, from now on. None is noted yet.
    ///
    /// A device that looked just before this may still be writing. Processors show such a write to others within microseconds: whoever
    /// reads the memory waits for that first.
    pub fn switch_on(&self, end: u64) {
        let words = end.div_ceil(PAGE).div_ceil(WORD);
        let new = || (0..words).map(|_| AtomicU64::new(0)).collect();
        self.words.get_or_init(new).iter().for_each(|word| word.store(0, Ordering::Relaxed));
        self.on.store(true, Ordering::SeqCst);
    }

    /// Notes no more.
    pub fn switch_off(&self) {
        self.on.store(false, Ordering::SeqCst);
    }

    /// Notes that `len` bytes at `address` were written, which are seen by whoever takes the note. After the write, not before it: else the note
    /// may be taken before the bytes are there.
    #[inline]
    pub fn add(&self, address: u64, len: u64) {
        if self.is_on() && len > 0 {
            self.note(address, len);
        }
    }

    #[cold]
    fn note(&self, address: u64, len: u64) {
        let Some(words) = self.words.get() else { return };
        let (first, last) = (address / PAGE, address.saturating_add(len - 1) / PAGE);
        for page in first..=last {
            let word = usize::try_from(page / WORD).ok().and_then(|word| words.get(word));
            // There is no such RAM.
            let Some(word) = word else { return };
            word.fetch_or(1 << (page % WORD), Ordering::AcqRel);
        }
    }

    /// Takes the notes, so that there are none then: the words.
    pub fn take(&self) -> impl Iterator<Item = u64> {
        let words = self.words.get().map_or(&[][..], |words| words);
        words.iter().map(|word| word.swap(0, Ordering::AcqRel))
    }

    /// The words, for a kernel that notes its own writes. They stay where they are.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        self.words.get().map_or(&[], |words| words)
    }
}

#[cfg(test)]
#[path = "written_test.rs"]
mod tests;
