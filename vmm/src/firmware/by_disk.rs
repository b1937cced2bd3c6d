//! Finds the firmware for which a disk is made, by its partitions.

use std::io;

use devices::disk::{Disk, SECTOR_SIZE};
use vm_memory::VolatileSlice;
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

use super::kind::Kind;

/// The length of the part of the first sector that may contain code.
const BOOT_CODE_LEN: usize = 440;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
const GPT_SIGNATURE: [u8; 8] = *b"EFI PART";
/// MBR partition types.
const EFI_SYSTEM_TYPE: u8 = 0xef;
const PROTECTIVE_TYPE: u8 = 0xee;
/// UEFI 2.10, "Defined GPT Partition Entry - Partition Type GUIDs": EFI System Partition.
const EFI_SYSTEM: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
/// The type of GRUB's BIOS boot partition.
const BIOS_BOOT: [u8; 16] = *b"Hah!IdontNeedEFI";
/// UEFI 2.10, "Defined GPT Partition Entry - Attributes": legacy BIOS bootable, which syslinux uses.
const LEGACY_BOOTABLE: u64 = 1 << 2;
/// Limits for a table: more entries than partitioning programs make, and the longest entry.
const ENTRIES_MAX: u32 = 256;
const ENTRY_LEN_MAX: u32 = 4096;

/// UEFI 2.10, "Legacy Master Boot Record (MBR)".
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
struct Mbr {
    code: [u8; BOOT_CODE_LEN],
    disk: [u8; 6],
    partitions: [MbrPartition; 4],
    signature: [u8; 2],
}

#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
struct MbrPartition {
    status: u8,
    first: [u8; 3],
    kind: u8,
    last: [u8; 3],
    start: U32,
    len: U32,
}

/// UEFI 2.10, "GPT Header".
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
struct GptHeader {
    signature: [u8; 8],
    revision: U32,
    header_len: U32,
    checksum: U32,
    reserved: U32,
    lba: U64,
    backup: U64,
    first_usable: U64,
    last_usable: U64,
    disk: [u8; 16],
    entries: U64,
    count: U32,
    entry_len: U32,
}

/// UEFI 2.10, "GPT Partition Entry Array", without the name.
#[repr(C)]
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
struct GptEntry {
    kind: [u8; 16],
    unique: [u8; 16],
    first: U64,
    last: U64,
    attributes: U64,
}

/// Returns the firmware for `disk`, and the reason.
///
/// UEFI needs an EFI system partition. A BIOS needs code in the first sector that has something to load: partitioning programs write code
/// that finds nothing. A disk that could start in both ways starts with a BIOS, which is faster.
///
/// # Errors
///
/// The disk can't be read.
pub(super) fn look(disk: &dyn Disk) -> io::Result<(Kind, &'static str)> {
    let first = read(disk, 0, SECTOR_SIZE)?;
    let Ok((mbr, _)) = Mbr::ref_from_prefix(&first) else {
        return Ok((Kind::Bios, "it is too small for partitions"));
    };
    if mbr.signature != SIGNATURE {
        return Ok((Kind::Bios, "it has no boot sector"));
    }
    let has_code = mbr.code.iter().any(|byte| *byte != 0);
    let has_mbr_type = |kind| mbr.partitions.iter().any(|partition| partition.kind == kind);
    let (efi, bios) = if has_mbr_type(PROTECTIVE_TYPE)
        && let Some(partitions) = gpt(disk)?
    {
        let has_kind = |kind| partitions.iter().any(|(other, _)| *other == kind);
        let bootable = partitions.iter().any(|(_, attributes)| attributes & LEGACY_BOOTABLE != 0);
        (has_kind(EFI_SYSTEM), has_kind(BIOS_BOOT) || bootable)
    } else {
        // GRUB continues in the sectors after the first one, others in the active partition.
        let active = mbr.partitions.iter().any(|partition| partition.status & 0x80 != 0);
        let goes_on = read(disk, SECTOR_SIZE, SECTOR_SIZE)?.iter().any(|byte| *byte != 0);
        (has_mbr_type(EFI_SYSTEM_TYPE), active || goes_on)
    };
    Ok(match (efi, has_code && bios) {
        (true, false) => (Kind::Uefi, "it has an EFI system partition, and no BIOS boot code"),
        (true, true) => (Kind::Bios, "it has BIOS boot code beside its EFI system partition"),
        (false, _) => (Kind::Bios, "it has no EFI system partition"),
    })
}

/// The type and the attributes of a GPT partition.
type GptPartition = ([u8; 16], u64);

/// The partitions of a GPT, if there is one.
fn gpt(disk: &dyn Disk) -> io::Result<Option<Vec<GptPartition>>> {
    let block = u64::from(disk.block_size().logical);
    let bytes = read(disk, block, SECTOR_SIZE)?;
    let Ok((header, _)) = GptHeader::ref_from_prefix(&bytes) else { return Ok(None) };
    let (count, entry_len) = (header.count.get().min(ENTRIES_MAX), header.entry_len.get());
    let can_be = (size_of::<GptEntry>() as u64..=ENTRY_LEN_MAX.into()).contains(&entry_len.into());
    if header.signature != GPT_SIGNATURE || !can_be {
        return Ok(None);
    }
    let Some(start) = header.entries.get().checked_mul(block) else { return Ok(None) };
    let bytes = read(disk, start, u64::from(count) * u64::from(entry_len))?;
    let entries = bytes.chunks(usize::try_from(entry_len).map_err(io::Error::other)?);
    let entries = entries.filter_map(|entry| GptEntry::ref_from_prefix(entry).ok());
    Ok(Some(entries.map(|(entry, _)| (entry.kind, entry.attributes.get())).collect()))
}

/// Reads `len` bytes from `offset` on, or fewer if the disk ends before.
fn read(disk: &dyn Disk, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let len = len.next_multiple_of(SECTOR_SIZE).min(disk.size().saturating_sub(offset));
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    if !bytes.is_empty() {
        disk.read_at(&[VolatileSlice::from(&mut bytes[..])], offset)?;
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "by_disk_test.rs"]
mod tests;
