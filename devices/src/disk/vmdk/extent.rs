//! Extents: the runs of bytes of which a link consists.

use std::io;

use super::{
    super::SECTOR_SIZE,
    cache::Caches,
    error::Failure,
    grains::SparseExtent,
    image::Image,
    span::{Place, Span},
};

/// One extent of a link.
#[derive(Debug)]
pub(super) enum Extent {
    /// A part of a file, stored as it is.
    Flat {
        /// The file.
        image: Image,
        /// The offset of its first byte in the file.
        offset: u64,
    },
    /// A file of grains.
    Sparse(SparseExtent),
    /// No file, all zeros.
    Zero,
}

impl Extent {
    /// An extent of `sectors` sectors from sector `offset` of `image` on.
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

    /// Finds the place of the bytes at `offset` of the extent, for at most `len` bytes, which all lie within it.
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
