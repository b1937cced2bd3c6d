//! Extents: the stretches that a link is made of.

use std::{io, sync::Arc};

use vm_memory::VolatileSlice;

use super::{
    super::{SECTOR_SIZE, vectored},
    Failure,
    cache::Caches,
    damage,
    grains::SparseExtent,
    image::Image,
};

/// One stretch of a link.
#[derive(Debug)]
pub(super) enum Extent {
    /// A stretch of a file, as it is.
    Flat {
        /// The file.
        image: Image,
        /// Where it begins, in bytes.
        offset: u64,
    },
    /// A file of grains.
    Sparse(SparseExtent),
    /// No file, all zeros.
    Zero,
}

/// Where the next bytes of a disk are.
#[derive(Debug)]
pub(super) struct Span<'a> {
    /// How many they are.
    pub(super) len: u64,
    pub(super) place: Place<'a>,
}

/// A place for bytes to be.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// In the parent link, or if there is none, nowhere: they are zeros.
    Parent,
    /// Nowhere: they are zeros.
    Zeros,
    /// In a file.
    File { image: &'a Image, offset: u64 },
    /// In a grain that was inflated.
    Memory { bytes: Arc<[u8]>, skip: usize },
}

impl Extent {
    /// A stretch of `sectors` at sector `offset` of `image`.
    pub(super) fn flat(image: Image, offset: u64, sectors: u64) -> Result<Self, Failure> {
        let bytes = |sectors: u64| sectors.checked_mul(SECTOR_SIZE);
        match (bytes(offset), bytes(sectors)) {
            (Some(offset), Some(len)) if image.holds(offset, len) => Ok(Self::Flat { image, offset }),
            _ => {
                let why = format!("{sectors} sectors at {offset} in a file of {}", image.sectors());
                Err(Failure::bad("extent size", why))
            }
        }
    }

    /// Finds what is at `offset` of the extent, for at most `len` bytes, which are within it.
    pub(super) fn locate(&self, offset: u64, len: u64, caches: &Caches) -> io::Result<Span<'_>> {
        match self {
            Self::Flat { image, offset: start } => {
                Ok(Span { len, place: Place::File { image, offset: start + offset } })
            }
            Self::Sparse(extent) => extent.locate(offset, len, caches),
            Self::Zero => Ok(Span { len, place: Place::Zeros }),
        }
    }
}

impl Place<'_> {
    /// Fills `buffers` with what is here.
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
