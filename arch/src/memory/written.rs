//! The pages of guest RAM that this process writes to, for copying RAM while the guest runs. KVM keeps note of the guest's own writes.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::layout::PAGE;

/// The number of pages in a word.
const WORD: u64 = u64::BITS as u64;

/// A bit for each page that was written to while this is on: page N is bit N % 64 of word N / 64, the same as in vhost's log.
///
/// While it is off, each write costs one relaxed load.
#[derive(Debug, Default)]
pub struct Written {
    on: AtomicBool,
    /// Allocated when it is first switched on.
    words: OnceLock<Box<[AtomicU64]>>,
}

impl Written {
    /// Returns whether writes are noted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Starts noting writes below `end`, which is the end of RAM. No page is noted yet.
    ///
    /// A device that checked [`Self::is_on`] just before may still be writing. Processors show such a write to others within microseconds:
    /// code that reads the memory waits for that first.
    pub fn switch_on(&self, end: u64) {
        let words = end.div_ceil(PAGE).div_ceil(WORD);
        let new = || (0..words).map(|_| AtomicU64::new(0)).collect();
        self.words.get_or_init(new).iter().for_each(|word| word.store(0, Ordering::Relaxed));
        self.on.store(true, Ordering::SeqCst);
    }

    /// Stops noting writes.
    pub fn switch_off(&self) {
        self.on.store(false, Ordering::SeqCst);
    }

    /// Notes that `len` bytes at `address` were written. To be called after the write: otherwise the note may be taken before the bytes are
    /// there. Code that takes the note sees the bytes.
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
            // Nothing was written: there is no RAM at this address.
            let Some(word) = word else { return };
            word.fetch_or(1 << (page % WORD), Ordering::AcqRel);
        }
    }

    /// Takes all notes, and leaves none. Returns the words.
    pub fn take(&self) -> impl Iterator<Item = u64> {
        let words = self.words.get().map_or(&[][..], |words| words);
        words.iter().map(|word| word.swap(0, Ordering::AcqRel))
    }

    /// The words, for a kernel that notes its own writes. They are never moved.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        self.words.get().map_or(&[], |words| words)
    }
}

#[cfg(test)]
#[path = "written_test.rs"]
mod tests;
