//! Commands as the driver lays them out: AHCI 1.3.1, "Command List Structure" and "Command Table".

use bitfield_struct::bitfield;
use vm_memory::VolatileSlice;
use zerocopy::{
    FromBytes, Immutable, KnownLayout,
    little_endian::{U32, U64},
};

use super::fis::CommandFis;
use crate::buffers::{Buffers, Regions};

/// Bytes of a command header.
pub(super) const HEADER_LEN: usize = 32;

/// Offsets of an ATAPI command and of the table of regions in a command table.
const ATAPI_COMMAND: usize = 0x40;
const REGIONS: usize = 0x80;
/// Bytes of an entry there.
const REGION_LEN: usize = 16;

/// The first word of a command header.
#[bitfield(u32)]
struct Description {
    /// The length of the frame, in double words.
    #[bits(5)]
    fis_length: u8,
    atapi: bool,
    write: bool,
    prefetchable: bool,
    reset: bool,
    built_in_self_test: bool,
    clear_busy: bool,
    __: bool,
    #[bits(4)]
    port: u8,
    /// Entries in the table of regions.
    regions: u16,
}

/// "Command Header".
#[derive(Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    description: U32,
    _moved: U32,
    table: U64,
    _reserved: [U32; 4],
}

/// "Physical Region Descriptor Table": an entry.
#[derive(Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Region {
    address: U64,
    _reserved: U32,
    /// The length less one, in the low 22 bits. Bit 0 is always set, because lengths are even.
    length: U32,
}

const LENGTH_MASK: u32 = (1 << 22) - 1;

/// A command as it was read. The guest may change what it points to at any time, but not this.
#[derive(Debug)]
pub(super) struct Command<'m> {
    pub(super) fis: CommandFis,
    /// The packet, if this is a PACKET command.
    pub(super) packet: Option<[u8; 16]>,
    regions: VolatileSlice<'m>,
}

/// An address in a command is not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its command list, a command table or a region of data is not in memory")]
pub(super) struct NoMemory;

impl<'m> Command<'m> {
    /// Reads the command whose header is at `header`.
    ///
    /// # Errors
    ///
    /// The header or its table is not in memory.
    pub(super) fn read(memory: &Regions<'m>, header: u64) -> Result<Self, NoMemory> {
        let header: [u8; HEADER_LEN] = read(memory.slice(header, HEADER_LEN))?;
        let header: Header = zerocopy::transmute!(header);
        let description = Description::from(header.description.get());
        let regions = usize::from(description.regions()) * REGION_LEN;
        // The low bits are reserved.
        let table = header.table.get() & !0x7f;
        let table = memory.slice(table, REGIONS + regions).ok_or(NoMemory)?;
        let fis: [u8; size_of::<CommandFis>()] = read(Some(table))?;
        let packet = description.atapi().then(|| read(table.offset(ATAPI_COMMAND).ok())).transpose()?;
        let regions = table.offset(REGIONS).map_err(|_| NoMemory)?;
        Ok(Self { fis: zerocopy::transmute!(fis), packet, regions })
    }

    /// The buffers of the first `len` bytes of data, or of all if there are fewer.
    ///
    /// # Errors
    ///
    /// One of the regions is not in memory.
    pub(super) fn data(&self, memory: &Regions<'m>, len: usize) -> Result<Buffers<'m>, NoMemory> {
        let mut data = Buffers::default();
        let mut left = len;
        for at in (0..self.regions.len()).step_by(REGION_LEN) {
            if left == 0 {
                break;
            }
            let region: [u8; REGION_LEN] = read(self.regions.offset(at).ok())?;
            let region: Region = zerocopy::transmute!(region);
            let length = (region.length.get() & LENGTH_MASK | 1) + 1;
            let part = usize::try_from(length).map_or(left, |length| length.min(left));
            left -= part;
            let part = u32::try_from(part).map_err(|_| NoMemory)?;
            data.push(memory, region.address.get() & !1, part).ok_or(NoMemory)?;
        }
        Ok(data)
    }
}

/// Copies the first bytes of `slice`.
fn read<const N: usize>(slice: Option<VolatileSlice<'_>>) -> Result<[u8; N], NoMemory> {
    let mut bytes = [0; N];
    let copied = slice.ok_or(NoMemory)?.copy_to(&mut bytes);
    if copied == N { Ok(bytes) } else { Err(NoMemory) }
}
