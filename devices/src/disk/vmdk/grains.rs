//! Sparse extents: the grain directory, the grain tables, and the grains that these name.

use std::{io, sync::Arc};

use zerocopy::{FromBytes, little_endian::U32};

use super::{
    super::SECTOR_SIZE,
    cache::{Cache, Caches, Key},
    error::{Failure, Problem, damage},
    header::{GD_AT_END, Geometry, SparseExtentHeader},
    image::Image,
    span::{Place, Span},
    stream,
};
use crate::printable::ToPrintable;

/// Bytes of an entry in a grain directory or a grain table.
const ENTRY_LEN: u64 = 4;
/// Bytes of the directory that are checked at a time.
const CHUNK: u64 = 64 << 10;

/// An open sparse extent.
#[derive(Debug)]
pub(super) struct SparseExtent {
    image: Image,
    geometry: Geometry,
    /// The number in the caches' keys.
    number: usize,
}

/// The meaning of an entry of a grain table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grain {
    /// The grain is not here; the parent may have it.
    Absent,
    Zeros,
    /// The sector at which the grain begins.
    At(u64),
}

impl SparseExtent {
    /// Checks the header of `image` and all of its grain directory. `number` is unique among the disk's extents.
    pub(super) fn new(image: Image, number: usize) -> Result<Self, Failure> {
        let mut header = SparseExtentHeader::read(&image, 0)?;
        if header.gd_offset.get() == GD_AT_END {
            header = stream::footer(&image)?;
        }
        let geometry = header.check(image.sectors())?;
        let extent = Self { image, geometry, number };
        extent.check_directory()?;
        if header.unclean_shutdown != 0 {
            log::warn!("vmdk {} was not closed by who last wrote to it", extent.image.path.printable());
        }
        Ok(extent)
    }

    /// The size in sectors.
    pub(super) fn capacity(&self) -> u64 {
        self.geometry.capacity
    }

    /// Finds the place of the bytes at `offset` of the extent, for at most `len` bytes: grains of one kind in one place.
    pub(super) fn locate(&self, offset: u64, len: u64, caches: &Caches) -> io::Result<Span<'_>> {
        let grain_len = self.geometry.grain_size * SECTOR_SIZE;
        let (grain, skip) = (offset / grain_len, offset % grain_len);
        let Geometry { gtes_per_gt, compressed, .. } = self.geometry;
        let Some(table) = self.table(grain / gtes_per_gt, &caches.tables)? else {
            let table_len = gtes_per_gt * grain_len;
            return Ok(Span { len: len.min(table_len - offset % table_len), place: Place::Parent });
        };
        let entries = usize::try_from(grain % gtes_per_gt).ok().and_then(|first| table.get(first..));
        let entries = entries.unwrap_or_default();
        let mut grains = entries.iter().map(|&entry| self.grain(entry));
        let first = grains.next().unwrap_or(Grain::Absent);

        let mut covered = grain_len - skip;
        if let (Grain::At(sector), true) = (first, compressed) {
            let len = len.min(covered);
            return Ok(Span { len, place: self.compressed(grain, sector, skip, &caches.grains)? });
        }
        let mut last = first;
        while covered < len
            && grains.next().is_some_and(|next| {
                let follows = self.follows(last, next);
                last = next;
                follows
            })
        {
            covered += grain_len;
        }
        let place = match first {
            Grain::Absent => Place::Parent,
            Grain::Zeros => Place::Zeros,
            Grain::At(sector) => Place::File { image: &self.image, offset: sector * SECTOR_SIZE + skip },
        };
        Ok(Span { len: len.min(covered), place })
    }

    fn grain(&self, entry: u32) -> Grain {
        match entry {
            0 => Grain::Absent,
            1 if self.geometry.zeroed_grains => Grain::Zeros,
            sector => Grain::At(sector.into()),
        }
    }

    /// Returns whether `next` continues where `last` ends.
    fn follows(&self, last: Grain, next: Grain) -> bool {
        match (last, next) {
            (Grain::At(last), Grain::At(next)) => next == last + self.geometry.grain_size,
            _ => last == next,
        }
    }

    /// The rest, from byte `skip` on, of compressed grain number `grain`, which is at `sector`.
    fn compressed(&self, grain: u64, sector: u64, skip: u64, cache: &Cache<u8>) -> io::Result<Place<'_>> {
        let Geometry { capacity, grain_size, .. } = self.geometry;
        let lba = grain * grain_size;
        let bytes = |sectors: u64| usize::try_from(sectors * SECTOR_SIZE).map_err(io::Error::other);
        let (len, needed) = (bytes(grain_size)?, bytes(grain_size.min(capacity.saturating_sub(lba)))?);
        let load = || stream::inflate(&self.image, sector * SECTOR_SIZE, lba, len, needed);
        let grain = cache.get(self.key(grain), load)?;
        Ok(Place::Memory { bytes: grain, skip: usize::try_from(skip).map_err(io::Error::other)? })
    }

    /// Grain table number `index`, if the directory has it.
    fn table(&self, index: u64, cache: &Cache<u32>) -> io::Result<Option<Arc<[u32]>>> {
        let table = cache.get(self.key(index), || {
            let entry = self.image.bytes(self.geometry.directory + index * ENTRY_LEN, ENTRY_LEN)?;
            match entries(&entry)[..] {
                [0] => Ok([].into()),
                [sector] => self.load_table(sector),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        })?;
        Ok((!table.is_empty()).then_some(table))
    }

    fn load_table(&self, sector: u32) -> io::Result<Arc<[u32]>> {
        let (offset, len) = self.table_bytes(sector);
        // It was checked when the extent was opened, but another program may have written to the file since.
        if !self.image.holds(offset, len) {
            let what = format_args!("grain table at sector {sector} is past the end of the file");
            return Err(damage(&self.image.path, what));
        }
        Ok(entries(&self.image.bytes(offset, len)?).into())
    }

    /// The place of a grain table: offset and length in bytes.
    fn table_bytes(&self, sector: u32) -> (u64, u64) {
        (u64::from(sector) * SECTOR_SIZE, self.geometry.gtes_per_gt * ENTRY_LEN)
    }

    fn check_directory(&self) -> Result<(), Failure> {
        let name = "grain directory";
        let (mut offset, end) =
            (self.geometry.directory, self.geometry.directory + self.geometry.tables * ENTRY_LEN);
        while offset < end {
            let len = CHUNK.min(end - offset);
            let chunk = self.image.bytes(offset, len).map_err(Problem::Read(name).because())?;
            for sector in entries(&chunk) {
                let (table, len) = self.table_bytes(sector);
                if sector != 0 && !self.image.holds(table, len) {
                    let why =
                        format!("a grain table at sector {sector} in a file of {}", self.image.sectors());
                    return Err(Failure::bad(name, why));
                }
            }
            offset += len;
        }
        Ok(())
    }

    fn key(&self, part: u64) -> Key {
        (self.number, part)
    }
}

/// The entries in a piece of a directory or a table.
fn entries(bytes: &[u8]) -> Vec<u32> {
    <[U32]>::ref_from_bytes(bytes).unwrap_or_default().iter().map(|entry| entry.get()).collect()
}
