//! Records the pages of memory that were written to.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use arch::layout::PAGE;

/// A set of pages that were written to. Several threads may add to it.
#[derive(Debug)]
pub struct DirtyPages(Box<[AtomicU64]>);

impl DirtyPages {
    /// An empty set of the pages of `len` bytes.
    pub(super) fn new(len: u64) -> Self {
        let words = (0..len.div_ceil(PAGE).div_ceil(u64::BITS.into())).map(|_| AtomicU64::new(0));
        Self(words.collect())
    }

    /// Adds the pages of a range of bytes.
    pub fn add(&self, bytes: Range<u64>) {
        for page in bytes.start / PAGE..bytes.end.div_ceil(PAGE) {
            self.add_word(page / 64, 1 << (page % 64));
        }
    }

    /// Adds the pages from `first` on whose bits are set, as `KVM_GET_DIRTY_LOG` gives them.
    pub fn add_bits(&self, first: u64, bits: &[u64]) {
        let (word, shift) = (first / 64, first % 64);
        for (word, &bits) in (word..).zip(bits).filter(|(_, bits)| **bits != 0) {
            self.add_word(word, bits << shift);
            self.add_word(word + 1, bits.checked_shr(64 - u32::try_from(shift).unwrap_or(0)).unwrap_or(0));
        }
    }

    /// Takes all pages out of the set: a bit each, the lowest one for the first page.
    #[must_use]
    pub fn take(&self) -> Vec<u64> {
        self.0.iter().map(|word| word.swap(0, Ordering::Relaxed)).collect()
    }

    /// Ignores bits of pages past the end.
    fn add_word(&self, index: u64, bits: u64) {
        if let Some(word) = usize::try_from(index).ok().and_then(|index| self.0.get(index))
            && bits != 0
        {
            word.fetch_or(bits, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[path = "dirty_test.rs"]
mod tests;
