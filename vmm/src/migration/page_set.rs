//! Sets of pages of guest RAM.

use std::ops::Range;

use arch::{layout::PAGE, memory::GuestRam};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

/// The number of pages in a word.
const WORD: u64 = u64::BITS as u64;

/// Pages by their numbers: page N is bit N % 64 of word N / 64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageSet(Vec<u64>);

impl PageSet {
    /// All pages of RAM.
    pub(crate) fn all(memory: &GuestRam) -> Self {
        let mut set = Self::default();
        for region in memory.iter() {
            let (first, pages) = (region.start_addr().raw_value() / PAGE, region.len().div_ceil(PAGE));
            set.add(first..first + pages);
        }
        set
    }

    /// Adds a range of pages.
    pub(crate) fn add(&mut self, pages: Range<u64>) {
        for page in pages {
            *self.word(page / WORD) |= 1 << (page % WORD);
        }
    }

    /// Adds the pages whose bits are set; bit 0 is page `first`.
    pub(crate) fn add_bits(&mut self, first: u64, bits: impl IntoIterator<Item = u64>) {
        let (start, shift) = (first / WORD, first % WORD);
        for (word, bits) in (start..).zip(bits) {
            if bits == 0 {
                continue;
            }
            *self.word(word) |= bits << shift;
            // In two steps, because shifting by a whole word is not possible.
            let rest = bits >> 1 >> (WORD - 1 - shift);
            if rest != 0 {
                *self.word(word + 1) |= rest;
            }
        }
    }

    /// Adds the pages of another set.
    pub(crate) fn add_all(&mut self, other: &Self) {
        self.add_bits(0, other.0.iter().copied());
    }

    /// The number of pages.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The pages in order, as ranges of adjacent pages.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Range<u64>> {
        let end = self.0.len() as u64 * WORD;
        let mut page = 0;
        std::iter::from_fn(move || {
            page = self.find(page, end, true)?;
            let start = page;
            page = self.find(page, end, false).unwrap_or(end);
            Some(start..page)
        })
    }

    /// The first page from `page` on that is in the set if `wanted`, or else the first one that is not.
    fn find(&self, mut page: u64, end: u64, wanted: bool) -> Option<u64> {
        while page < end {
            let word = self.0[usize::try_from(page / WORD).ok()?];
            let left = if wanted { word } else { !word } >> (page % WORD);
            if left != 0 {
                return Some(page + u64::from(left.trailing_zeros()));
            }
            page = (page / WORD + 1) * WORD;
        }
        None
    }

    fn word(&mut self, word: u64) -> &mut u64 {
        let word = usize::try_from(word).unwrap_or(usize::MAX);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        &mut self.0[word]
    }
}

#[cfg(test)]
#[path = "page_set_test.rs"]
mod tests;
