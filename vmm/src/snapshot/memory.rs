//! `memory`: the guest's memory in a file, in which pages of zeros are holes.
//!
//! ```text
//! region, region, ...: each begins at a multiple of the piece size. A piece that is not all zeros has a checksum.
//! ```

use std::{fmt::Debug, fs::File, os::unix::fs::FileExt, path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use arch::memory::GuestRam;
use devices::{pci::BarMemory, printable::ToPrintable};
use serde::{Deserialize, Serialize};
use vm_memory::{
    Address, Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryError, GuestMemoryRegion,
    GuestMemoryResult, MemoryRegionAddress, VolatileSlice,
};

use super::{
    files::{MACHINE, MEMORY},
    pieces::{self, PIECE},
};
use crate::{
    small_file,
    sparse::{self, PAGE},
    untouched::Untouched,
};

const DAMAGED: &str = "it was changed or damaged since it was saved";

/// The name of a region of RAM in the layout.
pub(crate) const RAM: &str = "ram";

/// A part of the guest's memory.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// The device's name, or [`RAM`].
    pub(crate) name: String,
    /// The guest-physical address, if it is RAM.
    pub(crate) address: Option<u64>,
    /// The memory.
    pub(crate) memory: Arc<dyn Memory>,
}

/// Memory that several threads access.
pub(crate) trait Memory: Debug + Send + Sync {
    /// The whole memory.
    fn bytes(&self) -> GuestMemoryResult<VolatileSlice<'_>>;

    /// The place in a file that the byte at `offset` is mapped from, unless it is not mapped from a file.
    fn file_at(&self, _offset: u64) -> Option<FileOffset> {
        None
    }
}

impl Memory for BarMemory {
    fn bytes(&self) -> GuestMemoryResult<VolatileSlice<'_>> {
        Ok(self.as_volatile_slice())
    }
}

/// A region of RAM.
#[derive(Debug)]
struct OfRam {
    ram: GuestRam,
    address: GuestAddress,
}

impl Memory for OfRam {
    fn bytes(&self) -> GuestMemoryResult<VolatileSlice<'_>> {
        let region = self.ram.find_region(self.address);
        let region = region.ok_or(GuestMemoryError::InvalidGuestAddress(self.address))?;
        region.get_slice(MemoryRegionAddress(0), usize::try_from(region.len()).unwrap_or(usize::MAX))
    }

    fn file_at(&self, offset: u64) -> Option<FileOffset> {
        let file = self.ram.find_region(self.address)?.file_offset()?;
        Some(FileOffset::from_arc(Arc::clone(file.arc()), file.start() + offset))
    }
}

/// The offsets of all parts in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemoryLayout {
    regions: Vec<Region>,
}

/// The location of a part.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Region {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<u64>,
    len: u64,
    /// The offset in the file.
    offset: u64,
    /// The checksum of each piece; none if the piece is all zeros.
    crc32: Vec<Option<u32>>,
}

impl Region {
    /// Returns whether its values are such as [`MemoryLayout::write`] produces.
    fn is_sound(&self) -> bool {
        let pieces = usize::try_from(self.len.div_ceil(PIECE as u64));
        self.len > 0
            && pieces == Ok(self.crc32.len())
            && self.offset.is_multiple_of(PIECE as u64)
            && self.offset.checked_add(self.len).is_some()
    }

    /// The offsets of the pieces that are not all zeros, with their checksums.
    fn pieces(&self) -> Vec<(usize, Option<u32>)> {
        let all = (0..).step_by(PIECE).zip(self.crc32.iter().copied());
        all.filter(|(_, crc32)| crc32.is_some()).collect()
    }

    /// Reads these pieces from the file, verifies them, and passes each to `use_piece`.
    fn read(
        &self,
        pieces: Vec<(usize, Option<u32>)>,
        file: &File,
        use_piece: impl Fn(usize, &[u8]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<()> {
        let (file, offset, name) = (file.try_clone()?, self.offset, self.name.clone());
        let len = usize::try_from(self.len)?;
        let done = pieces::each(pieces.len(), &|| false, move |number, room| {
            let (start, crc32) = pieces[number];
            let piece = &mut room[..PIECE.min(len - start)];
            file.read_exact_at(piece, offset + start as u64).context(MEMORY)?;
            let is_right = match crc32 {
                Some(crc32) => crc32fast::hash(piece) == crc32,
                None => sparse::is_zero(piece),
            };
            if !is_right {
                bail!("{MEMORY}: {DAMAGED} (the checksum of {name} at {start:#x} is wrong)");
            }
            use_piece(start, piece)
        });
        done.map(drop)
    }
}

/// The regions of RAM as parts.
pub(crate) fn ram(memory: &GuestRam) -> Vec<Part> {
    let parts = memory.iter().map(|region| {
        let address = region.start_addr();
        let memory = Arc::new(OfRam { ram: memory.clone(), address });
        Part { name: RAM.to_owned(), address: Some(address.raw_value()), memory }
    });
    parts.collect()
}

/// The memory of devices as parts.
pub(crate) fn of_devices(memories: Vec<(String, Arc<BarMemory>)>) -> Vec<Part> {
    let parts = memories.into_iter().map(|(name, memory)| Part { name, address: None, memory });
    parts.collect()
}

impl MemoryLayout {
    /// The layout of parts that are not written to a file, with the checksums of all pieces or of none.
    ///
    /// # Errors
    ///
    /// A part can't be read.
    pub(crate) fn of(parts: &[Part], checked: bool) -> Result<Self> {
        let (mut regions, mut offset) = (Vec::new(), 0);
        let (mut room, untouched) = (vec![0; PIECE], Untouched::open());
        for Part { name, address, memory } in parts {
            let bytes = memory.bytes()?;
            let starts = (0..bytes.len()).step_by(PIECE);
            let crc32 = starts.map(|start| match checked {
                true => touched_sum(&**memory, &untouched, start, &mut room),
                false => Ok(None),
            });
            let crc32 = crc32.collect::<Result<_>>()?;
            let len = bytes.len() as u64;
            regions.push(Region { name: name.clone(), address: *address, len, offset, crc32 });
            offset += len.next_multiple_of(PIECE as u64);
        }
        Ok(Self { regions })
    }

    /// Compares a part with its checksums.
    ///
    /// # Errors
    ///
    /// The bytes differ; the error names the first place.
    pub(crate) fn compare(&self, name: &str, address: Option<u64>, bytes: VolatileSlice<'_>) -> Result<()> {
        let region = self.find(name, address, bytes.len() as u64);
        let region = region.with_context(|| format!("there is no {name}"))?;
        let mut room = vec![0; PIECE];
        for (start, crc32) in (0..bytes.len()).step_by(PIECE).zip(&region.crc32) {
            if sum(bytes, start, &mut room)? != *crc32 {
                let at = address.unwrap_or_default() + start as u64;
                bail!("{name} differs in the {PIECE:#x} bytes at {at:#x}");
            }
        }
        Ok(())
    }

    /// The parts: name, address for RAM, and length.
    ///
    /// # Errors
    ///
    /// The layout has impossible values.
    pub(crate) fn places(&self) -> Result<impl Iterator<Item = (&str, Option<u64>, u64)>> {
        if !self.regions.iter().all(Region::is_sound) {
            bail!("{MACHINE} gives impossible places for memory");
        }
        Ok(self.regions.iter().map(|region| (region.name.as_str(), region.address, region.len)))
    }

    /// Returns whether both have the same parts.
    pub(crate) fn has_places_of(&self, other: &Self) -> bool {
        let places = |layout: &Self| -> Vec<_> {
            let regions = layout.regions.iter().filter(|region| region.is_sound());
            regions.map(|region| (region.name.clone(), region.address, region.len)).collect()
        };
        self.regions.len() == other.regions.len() && places(self) == places(other)
    }

    /// Writes the parts to an empty file. Gives up when `stop` returns true.
    ///
    /// # Errors
    ///
    /// A host error, or it was stopped.
    pub(crate) fn write(parts: &[Part], file: &File, stop: &dyn Fn() -> bool) -> Result<Self> {
        let mut regions = Vec::new();
        let mut offset = 0;
        let untouched = Arc::new(Untouched::open());
        for Part { name, address, memory } in parts {
            let len = memory.bytes()?.len();
            let (memory, file, untouched) = (Arc::clone(memory), file.try_clone()?, Arc::clone(&untouched));
            let crc32 = pieces::each(len.div_ceil(PIECE), stop, move |number, room| {
                let start = number * PIECE;
                let crc32 = touched_sum(&*memory, &untouched, start, room)?;
                if crc32.is_some() {
                    sparse::write_pages(&file, &room[..PIECE.min(len - start)], offset + start as u64)?;
                }
                Ok(crc32)
            })?;
            let len = len as u64;
            regions.push(Region { name: name.clone(), address: *address, len, offset, crc32 });
            offset += len.next_multiple_of(PIECE as u64);
        }
        // The file's length includes holes at its end.
        file.set_len(offset)?;
        Ok(Self { regions })
    }

    /// Opens the file, and checks its length, so that every page of a mapping is backed by it.
    ///
    /// # Errors
    ///
    /// The file can't be opened, or has the wrong length.
    pub(crate) fn open(&self, path: &Path) -> Result<File> {
        let name = || format!("{}: {MEMORY}", path.printable());
        if !self.regions.iter().all(Region::is_sound) {
            bail!("{}: {MACHINE} gives impossible places for it", name());
        }
        let file = small_file::open_regular(&path.join(MEMORY)).with_context(name)?;
        if file.metadata().with_context(name)?.len() != self.len() {
            bail!("{}: {DAMAGED} (its length is wrong)", name());
        }
        Ok(file)
    }

    /// Reads parts from the file into zeroed memory, and verifies all of them.
    ///
    /// # Errors
    ///
    /// The machine's parts differ, or the file is damaged.
    pub(crate) fn read(&self, parts: &[Part], file: &File) -> Result<()> {
        for Part { name, address, memory } in parts {
            let len = memory.bytes()?.len() as u64;
            let region = self.find(name, *address, len);
            let region = region.with_context(|| format!("it has no memory of {len:#x} bytes for {name}"))?;
            let (memory, there) = (Arc::clone(memory), region.pieces());
            region.read(there, file, move |start, piece| give(memory.bytes()?, piece, start))?;
        }
        Ok(())
    }

    /// Verifies the whole file, without a machine.
    ///
    /// # Errors
    ///
    /// The file is damaged.
    pub(crate) fn check(&self, file: &File) -> Result<()> {
        for region in &self.regions {
            let all = (0..).step_by(PIECE).zip(region.crc32.iter().copied());
            region.read(all.collect(), file, |_, _| Ok(()))?;
        }
        Ok(())
    }

    /// The offset of a region of RAM in the file.
    ///
    /// # Errors
    ///
    /// No region has that address and length.
    pub(crate) fn place_of_ram(&self, address: u64, len: u64) -> Result<u64> {
        let region = self.find(RAM, Some(address), len);
        Ok(region.with_context(|| format!("it has no memory of {len:#x} bytes at {address:#x}"))?.offset)
    }

    /// The bytes of memory in total, and in pieces that are not all zeros.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        let all = self.regions.iter().fold(0_u64, |all, region| all.saturating_add(region.len));
        let pieces = self.regions.iter().flat_map(|region| &region.crc32).flatten().count();
        (all, pieces as u64 * PIECE as u64)
    }

    /// The length of the file.
    pub(super) fn len(&self) -> u64 {
        let ends = self.regions.iter();
        let ends = ends.map(|region| region.offset.saturating_add(region.len));
        ends.max().unwrap_or_default().checked_next_multiple_of(PIECE as u64).unwrap_or(u64::MAX)
    }

    fn find(&self, name: &str, address: Option<u64>, len: u64) -> Option<&Region> {
        let is_it =
            |region: &&Region| (region.name.as_str(), region.address, region.len) == (name, address, len);
        self.regions.iter().find(is_it)
    }
}

/// The checksum of a piece as [`sum`] returns it. Memory that was never touched is not read.
fn touched_sum(
    memory: &dyn Memory,
    untouched: &Untouched,
    start: usize,
    room: &mut [u8],
) -> Result<Option<u32>> {
    let bytes = memory.bytes()?;
    let piece = bytes.subslice(start, PIECE.min(bytes.len() - start))?;
    if untouched.has(&piece, memory.file_at(start as u64).as_ref()) {
        return Ok(None);
    }
    sum(bytes, start, room)
}

/// The checksum of a piece, which is read into `room`; none if it is all zeros.
fn sum(bytes: VolatileSlice<'_>, start: usize, room: &mut [u8]) -> Result<Option<u32>> {
    let piece = &mut room[..PIECE.min(bytes.len() - start)];
    bytes.read_slice(piece, start)?;
    Ok((!sparse::is_zero(piece)).then(|| crc32fast::hash(piece)))
}

/// Copies a piece into zeroed memory. Pages of zeros are skipped, and so use no memory.
fn give(bytes: VolatileSlice<'_>, piece: &[u8], start: usize) -> Result<()> {
    for (number, page) in piece.chunks(PAGE).enumerate() {
        if !sparse::is_zero(page) {
            bytes.write_slice(page, start + number * PAGE)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod tests;
