//! Buffers of a request: one run of bytes to the device, into whatever pieces the driver cut it.

mod regions;

use smallvec::SmallVec;
use vm_memory::VolatileSlice;

pub(crate) use self::regions::Regions;

/// Pieces of guest memory, in order. Another processor may change their contents at any time.
///
/// Most have one or two pieces, for which nothing is allocated.
#[derive(Debug, Default)]
pub struct Buffers<'m>(SmallVec<[VolatileSlice<'m>; 2]>);

impl<'m> Buffers<'m> {
    /// Adds `len` bytes at `address`; `None` if some of them are not in memory.
    pub(crate) fn push(&mut self, regions: &Regions<'m>, address: u64, len: u32) -> Option<()> {
        let len = usize::try_from(len).ok()?;
        // Nearly always, all bytes are in one region.
        if let Some(slice) = regions.slice(address, len) {
            self.0.push(slice);
            return Some(());
        }
        for slice in regions.slices(address, len) {
            self.0.push(slice?);
        }
        Some(())
    }

    /// Gives back much unused room. The room doubles as pieces are added, and a queue may have many long requests.
    pub(crate) fn fit(&mut self) {
        const MUCH: usize = 64;
        if self.0.capacity() - self.0.len() > MUCH {
            self.0.shrink_to_fit();
        }
    }

    /// The pieces.
    pub fn as_slice(&self) -> &[VolatileSlice<'m>] {
        &self.0
    }

    /// Returns true if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.0.iter().map(VolatileSlice::len).sum()
    }

    /// The pieces of at most `len` bytes from the byte `from` on: fewer at the end.
    pub fn range(&self, from: usize, len: usize) -> impl Iterator<Item = VolatileSlice<'m>> {
        let (mut skip, mut left) = (from, len);
        self.0.iter().filter_map(move |slice| {
            let start = skip.min(slice.len());
            skip -= start;
            let part = left.min(slice.len() - start);
            left -= part;
            if part == 0 { None } else { slice.subslice(start, part).ok() }
        })
    }

    /// Removes `N` bytes from the front; `None`, and nothing removed, if there are fewer.
    pub fn take_front<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let mut filled = 0;
        let mut whole = 0;
        let mut cut = None;
        for slice in &self.0 {
            if filled == N {
                break;
            }
            let part = slice.copy_to(&mut bytes[filled..]);
            filled += part;
            if part < slice.len() {
                cut = slice.offset(part).ok();
                break;
            }
            whole += 1;
        }
        if filled < N {
            return None;
        }
        self.0.drain(..whole);
        if let (Some(rest), Some(first)) = (cut, self.0.first_mut()) {
            *first = rest;
        }
        Some(bytes)
    }

    /// Removes the last byte, and returns the place to write it to; `None` if there is none.
    pub fn take_last(&mut self) -> Option<VolatileSlice<'m>> {
        let slice = self.0.pop()?;
        let (rest, last) = slice.split_at(slice.len().checked_sub(1)?).ok()?;
        if !rest.is_empty() {
            self.0.push(rest);
        }
        Some(last)
    }

    /// Writes as many of `bytes` to the front as there is room for, and returns how many.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let mut written = 0;
        for slice in &self.0 {
            let part = slice.len().min(bytes.len() - written);
            slice.copy_from(&bytes[written..written + part]);
            written += part;
        }
        written
    }
}
