//! Stream-optimized extents: compressed grains, each after a marker, and a footer with the offset of the grain directory.

use std::{
    io::{self, Read},
    sync::Arc,
};

use flate2::read::ZlibDecoder;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout,
    little_endian::{U32, U64},
};

use super::{
    super::SECTOR_SIZE,
    error::{Failure, Problem, damage},
    header::{GD_AT_END, MAGIC, SparseExtentHeader},
    image::Image,
};

/// `MARKER_EOS`.
pub(super) const END_OF_STREAM: u32 = 0;
/// `MARKER_FOOTER`.
pub(super) const FOOTER: u32 = 3;

/// The sectors at the end of a stream: the footer's marker, the footer, and the end's marker.
const FOOTER_SIZE: u64 = 3;

/// Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents": the marker of metadata, which is a sector long.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct MetadataMarker {
    /// Sectors of metadata that follow.
    pub(super) num_sectors: U64,
    /// 0. Otherwise this is the marker of a grain.
    pub(super) size: U32,
    pub(super) kind: U32,
    pub(super) pad: [u8; 496],
}

/// The same section: the marker of a compressed grain, whose data follow directly.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct GrainMarker {
    /// The first sector of the grain in the extent.
    pub(super) lba: U64,
    /// Bytes of compressed data.
    pub(super) size: U32,
}

/// Bytes of a [`GrainMarker`].
const GRAIN_MARKER_LEN: u64 = 12;

/// The header in the footer of `image`, which takes precedence.
pub(super) fn footer(image: &Image) -> Result<SparseExtentHeader, Failure> {
    let Some(sector) = image.sectors().checked_sub(FOOTER_SIZE) else {
        return Err(Failure::bad("footer", format!("there is no room for one in {} bytes", image.len)));
    };
    expect_marker(image, sector, "footer marker", FOOTER)?;
    expect_marker(image, sector + 2, "end-of-stream marker", END_OF_STREAM)?;
    let header = SparseExtentHeader::read(image, (sector + 1) * SECTOR_SIZE)?;
    if header.magic != MAGIC {
        return Err(Failure::bad("footer", format!("its magicNumber is {:02x?}", header.magic)));
    }
    if header.gd_offset.get() == GD_AT_END {
        return Err(Failure::bad("footer", "its gdOffset is no place either"));
    }
    Ok(header)
}

fn expect_marker(image: &Image, sector: u64, name: &'static str, kind: u32) -> Result<(), Failure> {
    let bytes = image.bytes(sector * SECTOR_SIZE, SECTOR_SIZE).map_err(Problem::Read(name).because())?;
    let marker =
        MetadataMarker::read_from_bytes(&bytes).map_err(|_| Failure::bad(name, "it is not a sector"))?;
    if marker.size.get() != 0 || marker.kind.get() != kind {
        let why = format!(
            "it has size {} and type {}, not 0 and {kind}; the file may be cut off",
            marker.size, marker.kind
        );
        return Err(Failure::bad(name, why));
    }
    Ok(())
}

/// Inflates the grain at `offset` of `image`, which begins at sector `lba` of the extent. A grain has `len` bytes. The last one of an
/// extent may be shorter, but has at least the first `needed` bytes; the rest is zeros.
pub(super) fn inflate(
    image: &Image,
    offset: u64,
    lba: u64,
    len: usize,
    needed: usize,
) -> io::Result<Arc<[u8]>> {
    let bad = |what: String| damage(&image.path, format_args!("grain at sector {lba} has {what}"));
    let past_the_end = |what| bad(format!("{what} past the end of the file"));

    if !image.holds(offset, GRAIN_MARKER_LEN) {
        return Err(past_the_end("its marker"));
    }
    let marker = image.bytes(offset, GRAIN_MARKER_LEN)?;
    let marker = GrainMarker::read_from_bytes(&marker).map_err(|_| bad("a short marker".into()))?;
    if marker.lba.get() != lba {
        return Err(bad(format!("the marker of another, lba {}", marker.lba)));
    }
    let size = u64::from(marker.size.get());
    let max = 2 * len + 64;
    if size > max as u64 {
        return Err(bad(format!("a marker of size {size}, more than the {max} that {len} bytes could take")));
    }
    let data = offset + GRAIN_MARKER_LEN;
    if !image.holds(data, size) {
        return Err(past_the_end("data"));
    }
    let data = image.bytes(data, size)?;

    let mut grain = Vec::with_capacity(len + 1);
    let mut decoder = ZlibDecoder::new(data.as_slice()).take(len as u64 + 1);
    decoder.read_to_end(&mut grain).map_err(|error| bad(format!("data that can't be inflated: {error}")))?;
    if grain.len() > len {
        return Err(bad(format!("more than its {len} bytes")));
    }
    if grain.len() < needed {
        return Err(bad(format!("{} bytes, not {len}", grain.len())));
    }
    grain.resize(len, 0);
    Ok(grain.into())
}
