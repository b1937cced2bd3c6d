//! The parts of a disk that a discard or a write of zeros names.

use virtio_bindings::virtio_blk::VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
use zerocopy::{
    FromBytes, Immutable, KnownLayout,
    little_endian::{U32, U64},
};

use crate::{
    block::{Refusal, Segment},
    buffers::Buffers,
    disk::SECTOR_SIZE,
};

/// Limits for a request, so that it can't keep a queue busy for long: once begun, it can't be ended early.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) segments: u32,
    /// The most sectors of a segment.
    pub(super) sectors: u32,
    /// The permitted flags.
    flags: u32,
}

/// For `VIRTIO_BLK_T_DISCARD`: 32 GiB, for which the host only changes metadata. "The unmap bit MUST be zero."
pub(super) const DISCARD: Limits = Limits { segments: 32, sectors: 1 << 21, flags: 0 };

/// For `VIRTIO_BLK_T_WRITE_ZEROES`: 2 GiB, which some hosts have to write.
pub(super) const WRITE_ZEROES: Limits =
    Limits { segments: 32, sectors: 1 << 17, flags: VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP };

/// virtio 1.3, "Block Device", "Device Operation": `struct virtio_blk_discard_write_zeroes`.
#[derive(Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawSegment {
    sector: U64,
    num_sectors: U32,
    flags: U32,
}

/// Takes the segments out of `data`, reading each byte only once, as the driver may change them meanwhile. All are valid for a disk of
/// `size` bytes; empty ones are left out.
///
/// # Errors
///
/// There are no segments, too many, or an incomplete one; one has an unknown flag; one is too long, or not within the disk.
pub(super) fn take(data: &mut Buffers<'_>, limits: &Limits, size: u64) -> Result<Vec<Segment>, Refusal> {
    let len = data.len();
    let count = len / size_of::<RawSegment>();
    let whole = len.is_multiple_of(size_of::<RawSegment>());
    if !whole || !(1..=limits.segments).contains(&u32::try_from(count).unwrap_or(u32::MAX)) {
        return Err(Refusal::IoError);
    }
    let raw: Vec<RawSegment> = (0..count)
        .map_while(|_| data.take_front::<{ size_of::<RawSegment>() }>())
        .map(|segment| zerocopy::transmute!(segment))
        .collect();
    if raw.iter().any(|segment| segment.flags.get() & !limits.flags != 0) {
        return Err(Refusal::Unsupported);
    }
    let segments = raw.iter().map(|raw| raw.check(limits, size).ok_or(Refusal::IoError));
    let mut segments: Vec<_> = segments.collect::<Result<_, _>>()?;
    segments.retain(|segment| !segment.range.is_empty());
    Ok(segments)
}

impl RawSegment {
    fn check(&self, limits: &Limits, size: u64) -> Option<Segment> {
        let sectors = self.num_sectors.get();
        let start = self.sector.get().checked_mul(SECTOR_SIZE)?;
        let end = start.checked_add(u64::from(sectors) * SECTOR_SIZE)?;
        let unmap = self.flags.get() & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP != 0;
        (sectors <= limits.sectors && end <= size).then_some(Segment { range: start..end, unmap })
    }
}

#[cfg(test)]
#[path = "segments_test.rs"]
mod tests;
