//! Entry points, which tell where the structures are. DSP0134 allows both, side by side. Programs from before SMBIOS 3.0, such as Linux
//! 3.10 and syslinux's hdt, know only the 32-bit one.

use zerocopy::{
    Immutable, IntoBytes, Unaligned,
    little_endian::{U16, U32, U64},
};

use super::tables::Tables;
use crate::checksum;

/// The version that the structures keep to.
const MAJOR: u8 = 3;
const MINOR: u8 = 0;

/// DSP0134, "SMBIOS 2.1 (32-bit) Entry Point".
#[derive(Clone, Copy, Debug, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
pub(super) struct EntryPoint32 {
    anchor: [u8; 4],
    checksum: u8,
    len: u8,
    version: [u8; 2],
    max_structure_len: U16,
    revision: u8,
    formatted: [u8; 5],
    intermediate: Intermediate,
}

/// The older part, which has an anchor and a checksum of its own.
#[derive(Clone, Copy, Debug, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
struct Intermediate {
    anchor: [u8; 5],
    checksum: u8,
    table_len: U16,
    address: U32,
    structures: U16,
    bcd_revision: u8,
}

impl EntryPoint32 {
    /// The entry point of `tables` at `address`; none if they are longer than it can express.
    pub(super) fn new(tables: &Tables, address: u64) -> Option<Self> {
        let mut entry = Self {
            anchor: *b"_SM_",
            checksum: 0,
            len: 31,
            version: [MAJOR, MINOR],
            max_structure_len: u16::try_from(tables.longest()).ok()?.into(),
            revision: 0,
            formatted: [0; _],
            intermediate: Intermediate {
                anchor: *b"_DMI_",
                checksum: 0,
                table_len: u16::try_from(tables.as_bytes().len()).ok()?.into(),
                address: u32::try_from(address).ok()?.into(),
                structures: u16::try_from(tables.count()).ok()?.into(),
                bcd_revision: MAJOR << 4 | MINOR,
            },
        };
        entry.intermediate.checksum = checksum(entry.intermediate.as_bytes());
        entry.checksum = checksum(entry.as_bytes());
        Some(entry)
    }
}

/// DSP0134, "SMBIOS 3.0 (64-bit) Entry Point".
#[derive(Clone, Copy, Debug, Immutable, IntoBytes, Unaligned)]
#[repr(C)]
pub(super) struct EntryPoint64 {
    anchor: [u8; 5],
    checksum: u8,
    len: u8,
    version: [u8; 3],
    revision: u8,
    reserved: u8,
    max_len: U32,
    address: U64,
}

impl EntryPoint64 {
    /// The entry point of `len` bytes of structures at `address`.
    pub(super) fn new(len: u32, address: u64) -> Self {
        let mut entry = Self {
            anchor: *b"_SM3_",
            checksum: 0,
            len: 24,
            version: [MAJOR, MINOR, 0],
            revision: 1,
            reserved: 0,
            max_len: len.into(),
            address: address.into(),
        };
        entry.checksum = checksum(entry.as_bytes());
        entry
    }
}
