//! Copies a disk to one that contains zeros.

use std::{io, ops::Range};

use devices::disk::Disk;
use vm_memory::VolatileSlice;

/// The number of bytes to read at a time.
const PIECE: u64 = 2 << 20;
/// The shortest run of zeros that is not written: a cluster of most images.
const GRANULE: u64 = 64 << 10;

/// Reasons why a copy was not finished.
#[derive(Debug)]
pub(super) enum CopyError<E> {
    /// The original can't be read at this byte.
    Read(u64, io::Error),
    /// The copy can't be written to at this byte.
    Write(u64, io::Error),
    /// `watch` has stopped it.
    Watcher(E),
}

/// Copies all of `from` to `to`, which contains zeros and has the same size. After each piece, `watch` gets the number of bytes that are
/// done, and how many of them were read because they were not known to be zeros.
pub(super) fn copy<E>(
    from: &dyn Disk,
    to: &dyn Disk,
    mut watch: impl FnMut(u64, u64) -> Result<(), E>,
) -> Result<(), CopyError<E>> {
    let size = from.size();
    let mut buffer =
        vec![0; usize::try_from(PIECE).map_err(|error| CopyError::Read(0, io::Error::other(error)))?];
    let (mut offset, mut copied) = (0, 0);
    while offset < size {
        let extent = from.extent_at(offset, size - offset).map_err(|error| CopyError::Read(offset, error))?;
        let end = (offset + extent.len).min(size);
        // Granules begin at multiples of their size. A granule with any byte other than zero is data.
        let zeros_end = if end == size { end } else { end - end % GRANULE };
        if extent.is_zero && zeros_end > offset {
            offset = zeros_end;
        } else {
            let end = end.next_multiple_of(GRANULE).min(size).min(offset + PIECE);
            copy_piece(from, to, offset..end, &mut buffer)?;
            copied += end - offset;
            offset = end;
        }
        watch(offset, copied).map_err(CopyError::Watcher)?;
    }
    Ok(())
}

/// Copies `range`, which begins with a granule, except for its granules of zeros.
fn copy_piece<E>(
    from: &dyn Disk,
    to: &dyn Disk,
    range: Range<u64>,
    buffer: &mut [u8],
) -> Result<(), CopyError<E>> {
    let failed = |error| CopyError::Read(range.start, io::Error::other(error));
    let len = usize::try_from(range.end - range.start).map_err(failed)?;
    let granule = usize::try_from(GRANULE).map_err(failed)?;
    let buffer = &mut buffer[..len];
    from.read_at(&[VolatileSlice::from(&mut *buffer)], range.start)
        .map_err(|error| CopyError::Read(range.start, error))?;
    let mut start = 0;
    while start < len {
        let is_zero = is_zero(&buffer[start..len.min(start + granule)]);
        let mut end = start;
        while end < len && self::is_zero(&buffer[end..len.min(end + granule)]) == is_zero {
            end = len.min(end + granule);
        }
        if !is_zero {
            let at = range.start + start as u64;
            to.write_at(&[VolatileSlice::from(&mut buffer[start..end])], at)
                .map_err(|error| CopyError::Write(at, error))?;
        }
        start = end;
    }
    Ok(())
}

/// Returns whether all bytes are zeros. It compares memory, which is many times faster than comparing bytes.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}

#[cfg(test)]
#[path = "copy_test.rs"]
mod tests;
