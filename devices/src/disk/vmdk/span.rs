//! Places of a disk's bytes, and reading from them.

use std::{io, sync::Arc};

use vm_memory::VolatileSlice;

use super::{error::damage, image::Image};
use crate::vectored;

/// The next bytes of a disk that are in one place.
#[derive(Debug)]
pub(super) struct Span<'a> {
    /// The number of bytes.
    pub(super) len: u64,
    pub(super) place: Place<'a>,
}

/// A place for bytes of a disk.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// In the parent link. Without a parent, they are zeros.
    Parent,
    /// Nowhere: they are zeros.
    Zeros,
    /// In a file.
    File { image: &'a Image, offset: u64 },
    /// In a grain that was inflated.
    Memory { bytes: Arc<[u8]>, skip: usize },
}

impl Place<'_> {
    /// Fills `buffers` with the bytes in this place.
    pub(super) fn read(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        match self {
            Self::Parent | Self::Zeros => zero(buffers),
            Self::File { image, offset } => {
                let (read, wanted) =
                    (vectored::read(&image.file, buffers, *offset)?, vectored::total(buffers));
                if read < wanted {
                    let what = format_args!("{wanted} bytes at byte {offset} are past the end of the file");
                    return Err(damage(&image.path, what));
                }
            }
            Self::Memory { bytes, skip } => {
                let mut bytes = bytes.get(*skip..).unwrap_or_default();
                for buffer in buffers {
                    let (now, later) =
                        bytes.split_at_checked(buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                    buffer.copy_from(now);
                    bytes = later;
                }
            }
        }
        Ok(())
    }
}

/// Zeroes `buffers`.
fn zero(buffers: &[VolatileSlice<'_>]) {
    const ZEROS: [u8; 4096] = [0; 4096];
    for buffer in buffers {
        let mut at = 0;
        while let Ok(rest) = buffer.offset(at)
            && !rest.is_empty()
        {
            rest.copy_from(&ZEROS);
            at += ZEROS.len().min(rest.len());
        }
    }
}
