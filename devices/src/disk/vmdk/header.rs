//! The header of a hosted sparse extent, and the checks that it has to pass.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout,
    little_endian::{U16, U32, U64},
};

use super::{
    super::SECTOR_SIZE,
    descriptor,
    error::{Failure, Problem},
    image::Image,
};

/// The first bytes of a sparse extent of a hosted product.
pub(super) const MAGIC: [u8; 4] = *b"KDMV";
/// The first bytes of a sparse extent of ESX before version 4.
pub(super) const COWD_MAGIC: [u8; 4] = *b"COWD";

/// `gdOffset` of a stream: the directory's offset is in the footer.
pub(super) const GD_AT_END: u64 = u64::MAX;

/// The value of `newline`, unless the file was transferred as text.
const NEWLINES: [u8; 4] = *b"\n \r\n";

const KNOWN_VERSIONS: [u32; 3] = [1, 2, 3];
const DEFLATE: u16 = 1;

/// The largest grain, in sectors. Every known writer makes grains of 128; the image must not decide how much is inflated at once.
const MAX_GRAIN_SIZE: u64 = 2048;
/// The largest grain table, as in the specification.
const MAX_GTES_PER_GT: u32 = 512;
/// The largest grain directory: 2 TiB in grains of 4 KiB. No entry of a table reaches farther than 2 TiB into a file.
const MAX_TABLES: u64 = 1 << 20;

bitflags::bitflags! {
    /// `flags`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Flags: u32 {
        /// `newline` has to be checked.
        const NEWLINES = 1 << 0;
        /// Entry 1 of a grain table stands for a grain of zeros.
        const ZEROED_GRAINS = 1 << 2;
        /// Grains are compressed.
        const COMPRESSED = 1 << 16;
        /// Grains and metadata have markers.
        const MARKERS = 1 << 17;
        /// Other flags don't matter for reading.
        const _ = !0;
    }
}

/// Virtual Disk Format 5.0, "Hosted Sparse Extents". Offsets and sizes are in sectors.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct SparseExtentHeader {
    pub(super) magic: [u8; 4],
    pub(super) version: U32,
    pub(super) flags: U32,
    pub(super) capacity: U64,
    pub(super) grain_size: U64,
    pub(super) descriptor_offset: U64,
    pub(super) descriptor_size: U64,
    pub(super) num_gtes_per_gt: U32,
    pub(super) rgd_offset: U64,
    pub(super) gd_offset: U64,
    pub(super) over_head: U64,
    pub(super) unclean_shutdown: u8,
    pub(super) newline: [u8; 4],
    pub(super) compress_algorithm: U16,
    pub(super) pad: [u8; 433],
}

/// A header that has passed all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Size of the extent, in sectors.
    pub(super) capacity: u64,
    /// Size of a grain in sectors, a power of two.
    pub(super) grain_size: u64,
    /// Entries of a grain table.
    pub(super) gtes_per_gt: u64,
    /// The offset of the grain directory, in bytes.
    pub(super) directory: u64,
    /// Entries of the grain directory.
    pub(super) tables: u64,
    /// Entry 1 of a grain table stands for a grain of zeros.
    pub(super) zeroed_grains: bool,
    /// Grains are compressed, with markers.
    pub(super) compressed: bool,
}

impl SparseExtentHeader {
    /// Reads the header at `offset` of `image`.
    pub(super) fn read(image: &Image, offset: u64) -> Result<Self, Failure> {
        let name = "SparseExtentHeader";
        if !image.holds(offset, SECTOR_SIZE) {
            return Err(Failure::bad(name, format!("the file ends at byte {}", image.len)));
        }
        let bytes = image.bytes(offset, SECTOR_SIZE).map_err(Problem::Read(name).because())?;
        // A sector's bytes always fit: the lengths are equal.
        Self::read_from_bytes(&bytes).map_err(|_| Failure::bad(name, "it is not a sector"))
    }

    /// The text of the descriptor inside `image`, if there is one.
    pub(super) fn descriptor(&self, image: &Image) -> Result<Option<Vec<u8>>, Failure> {
        let (offset, size) = (self.descriptor_offset.get(), self.descriptor_size.get());
        if offset == 0 {
            return Ok(None);
        }
        let max = descriptor::MAX_LEN / SECTOR_SIZE;
        if size == 0 || size > max {
            return Err(Failure::bad("descriptorSize", format!("{size} sectors, of 1 to {max}")));
        }
        if offset.checked_add(size).is_none_or(|end| end > image.sectors()) {
            let why = format!("{size} sectors at {offset} in a file of {}", image.sectors());
            return Err(Failure::bad("descriptorOffset", why));
        }
        let bytes = image.bytes(offset * SECTOR_SIZE, size * SECTOR_SIZE);
        // A disk in pieces has room for a descriptor in each, with nothing in it.
        let text = bytes.map(|text| Some(text).filter(|text| text.first() != Some(&0)));
        text.map_err(Problem::Read("descriptor").because())
    }

    /// Checks all fields on which reading depends, for a file of `sectors` sectors.
    pub(super) fn check(&self, sectors: u64) -> Result<Geometry, Failure> {
        if self.magic == COWD_MAGIC {
            return Err(Problem::Unsupported("a sparse extent of ESX (COWD)".into()).into());
        }
        if self.magic != MAGIC {
            return Err(Failure::bad(
                "magicNumber",
                format!("{:02x?} is not that of a sparse extent", self.magic),
            ));
        }
        if !KNOWN_VERSIONS.contains(&self.version.get()) {
            return Err(Problem::Unsupported(format!("version {}", self.version)).into());
        }
        let flags = Flags::from_bits_retain(self.flags.get());
        if flags.contains(Flags::NEWLINES) && self.newline != NEWLINES {
            return Err(Failure::bad(
                "singleEndLineChar",
                "the file was changed on its way, as if it were text; copy it again as binary",
            ));
        }
        let compressed = self.is_compressed(flags)?;
        let grain_size = self.grain_size.get();
        if !grain_size.is_power_of_two() || grain_size > MAX_GRAIN_SIZE {
            let why = format!("{grain_size} sectors, not a power of two up to {MAX_GRAIN_SIZE}");
            return Err(Failure::bad("grainSize", why));
        }
        let gtes_per_gt = self.num_gtes_per_gt.get();
        if gtes_per_gt == 0 || gtes_per_gt > MAX_GTES_PER_GT {
            let why = format!("{gtes_per_gt}, of 1 to {MAX_GTES_PER_GT}");
            return Err(Failure::bad("numGTEsPerGT", why));
        }
        let gtes_per_gt = u64::from(gtes_per_gt);
        // It fits: at most 2^9 entries of 2^11 sectors.
        let capacity = self.capacity.get();
        let tables = capacity.div_ceil(gtes_per_gt * grain_size);
        if tables == 0 || tables > MAX_TABLES {
            let max = MAX_TABLES * gtes_per_gt * grain_size;
            return Err(Failure::bad("capacity", format!("{capacity} sectors, of 1 to {max}")));
        }
        let directory = self.directory(tables, sectors)?;
        Ok(Geometry {
            capacity,
            grain_size,
            gtes_per_gt,
            directory,
            tables,
            zeroed_grains: flags.contains(Flags::ZEROED_GRAINS),
            compressed,
        })
    }

    fn is_compressed(&self, flags: Flags) -> Result<bool, Failure> {
        let compressed = flags.contains(Flags::COMPRESSED);
        match self.compress_algorithm.get() {
            0 if !compressed => Ok(false),
            DEFLATE if compressed && flags.contains(Flags::MARKERS) => Ok(true),
            DEFLATE if compressed => {
                Err(Problem::Unsupported("compressed grains without markers".into()).into())
            }
            algorithm @ (0 | DEFLATE) => {
                let why = format!("{algorithm}, which contradicts flags {flags:#x}");
                Err(Failure::bad("compressAlgorithm", why))
            }
            algorithm => Err(Problem::Unsupported(format!("compressAlgorithm {algorithm}")).into()),
        }
    }

    /// The offset in bytes of the grain directory, which has `tables` entries.
    fn directory(&self, tables: u64, sectors: u64) -> Result<u64, Failure> {
        let offset = self.gd_offset.get();
        let size = (tables * 4).div_ceil(SECTOR_SIZE);
        if offset == 0 || offset.checked_add(size).is_none_or(|end| end > sectors) {
            let why = format!("{size} sectors of directory at {offset} in a file of {sectors}");
            return Err(Failure::bad("gdOffset", why));
        }
        Ok(offset * SECTOR_SIZE)
    }
}

/// Returns whether a file that begins with `start` (its first 512 bytes, or all of it) is a vmdk: a sparse extent of VMware's hosted
/// products or of old ESX, or a descriptor.
#[must_use]
pub fn is_vmdk(start: &[u8]) -> bool {
    start.starts_with(&MAGIC) || start.starts_with(&COWD_MAGIC) || descriptor::is_descriptor(start)
}

#[cfg(test)]
#[path = "header_test.rs"]
mod tests;
