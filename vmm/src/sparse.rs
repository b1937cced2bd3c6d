//! Files in which pages of zeros are holes.

use std::{fs::File, io, os::unix::fs::FileExt};

/// The granularity at which zeros are left out.
pub(crate) const PAGE: usize = 4 << 10;
static ZEROS: [u8; PAGE] = [0; PAGE];

/// Returns whether all of it is zeros.
pub(crate) fn is_zero(piece: &[u8]) -> bool {
    piece.chunks(PAGE).all(|page| page == &ZEROS[..page.len()])
}

/// Writes the pages of `piece` that are not all zeros, adjacent ones at once.
///
/// # Errors
///
/// A host error.
pub(crate) fn write_pages(file: &File, piece: &[u8], position: u64) -> io::Result<()> {
    let mut start = None;
    let write = |from: usize, to: usize| file.write_all_at(&piece[from..to], position + from as u64);
    for (number, page) in piece.chunks(PAGE).enumerate() {
        match (start, is_zero(page)) {
            (None, false) => start = Some(number * PAGE),
            (Some(from), true) => {
                write(from, number * PAGE)?;
                start = None;
            }
            _ => {}
        }
    }
    start.map_or(Ok(()), |from| write(from, piece.len()))
}
