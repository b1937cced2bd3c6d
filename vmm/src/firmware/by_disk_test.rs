use devices::disk::memory::MemoryDisk;
use proptest::prelude::*;

use super::*;

/// A disk with a boot sector: code, and partitions by type and status.
fn mbr(code: &[u8], partitions: &[(u8, u8)]) -> Vec<u8> {
    let mut bytes = vec![0; 64 << 10];
    bytes[..code.len()].copy_from_slice(code);
    for (index, &(kind, status)) in partitions.iter().enumerate() {
        bytes[446 + 16 * index] = status;
        bytes[446 + 16 * index + 4] = kind;
    }
    bytes[510..512].copy_from_slice(&SIGNATURE);
    bytes
}

/// The same with a GPT: partitions by type and attributes.
fn with_gpt(code: &[u8], partitions: &[([u8; 16], u64)]) -> Vec<u8> {
    let mut bytes = mbr(code, &[(PROTECTIVE_TYPE, 0)]);
    bytes[512..520].copy_from_slice(&GPT_SIGNATURE);
    bytes[512 + 72] = 2;
    bytes[512 + 80] = 128;
    bytes[512 + 84] = 128;
    for (index, (kind, attributes)) in partitions.iter().enumerate() {
        let entry = 1024 + 128 * index;
        bytes[entry..entry + 16].copy_from_slice(kind);
        bytes[entry + 48..entry + 56].copy_from_slice(&attributes.to_le_bytes());
    }
    bytes
}

fn kind(bytes: Vec<u8>) -> Kind {
    look(&MemoryDisk::new("d".to_owned(), bytes)).unwrap().0
}

const CODE: &[u8] = &[0xeb, 0x63, 0x90];
const LINUX: u8 = 0x83;
const DATA: [u8; 16] = [0xaf; 16];

#[test]
fn disks_with_an_mbr() {
    let mut grub = mbr(CODE, &[(LINUX, 0), (EFI_SYSTEM_TYPE, 0)]);
    grub[512] = 0x52;
    for (bytes, expected, which) in [
        (vec![], Kind::Bios, "empty"),
        (vec![0; 1 << 20], Kind::Bios, "blank"),
        (mbr(CODE, &[]), Kind::Bios, "a boot sector alone"),
        (mbr(CODE, &[(LINUX, 0x80)]), Kind::Bios, "an active partition"),
        (mbr(&[], &[(EFI_SYSTEM_TYPE, 0)]), Kind::Uefi, "an EFI system partition alone"),
        (mbr(CODE, &[(EFI_SYSTEM_TYPE, 0)]), Kind::Uefi, "code of a partitioning program"),
        (mbr(CODE, &[(EFI_SYSTEM_TYPE, 0), (LINUX, 0x80)]), Kind::Bios, "a hybrid image"),
        (grub, Kind::Bios, "GRUB in the gap"),
    ] {
        assert_eq!(kind(bytes), expected, "{which}");
    }
}

#[test]
fn disks_with_a_gpt() {
    for (bytes, expected, which) in [
        (with_gpt(&[], &[(DATA, 0)]), Kind::Bios, "data"),
        (with_gpt(&[], &[(DATA, 0), (EFI_SYSTEM, 0)]), Kind::Uefi, "an EFI system partition"),
        (with_gpt(CODE, &[(EFI_SYSTEM, 0)]), Kind::Uefi, "with Windows' code, which starts nothing"),
        (with_gpt(CODE, &[(EFI_SYSTEM, 0), (BIOS_BOOT, 0)]), Kind::Bios, "a cloud image"),
        (
            with_gpt(&[], &[(EFI_SYSTEM, 0), (BIOS_BOOT, 0)]),
            Kind::Uefi,
            "prepared for GRUB, which is not there",
        ),
        (with_gpt(CODE, &[(EFI_SYSTEM, 0), (DATA, LEGACY_BOOTABLE)]), Kind::Bios, "syslinux"),
    ] {
        assert_eq!(kind(bytes), expected, "{which}");
    }
}

#[test]
fn the_reason_is_given() {
    let why = |bytes| look(&MemoryDisk::new("d".to_owned(), bytes)).unwrap().1;
    assert_eq!(why(vec![]), "it is too small for partitions");
    assert_eq!(why(vec![0; 512]), "it has no boot sector");
    assert_eq!(why(mbr(CODE, &[])), "it has no EFI system partition");
    assert_eq!(
        why(with_gpt(&[], &[(EFI_SYSTEM, 0)])),
        "it has an EFI system partition, and no BIOS boot code"
    );
    assert_eq!(
        why(with_gpt(CODE, &[(EFI_SYSTEM, 0), (BIOS_BOOT, 0)])),
        "it has BIOS boot code beside its EFI system partition"
    );
}

proptest! {
    #[test]
    fn no_partition_table_is_too_odd(
        header in prop::collection::vec(any::<u8>(), 92),
        start in prop::sample::select(vec![0, 2, 100, u64::MAX / 512, u64::MAX]),
        count in any::<u32>(),
        len in prop::sample::select(vec![0, 1, 55, 56, 128, 4096, 4097, u32::MAX]),
        size in 0_usize..70_000,
    ) {
        let mut bytes = with_gpt(CODE, &[(EFI_SYSTEM, 0)]);
        bytes[520..604].copy_from_slice(&header[8..]);
        bytes[512 + 72..512 + 80].copy_from_slice(&start.to_le_bytes());
        bytes[512 + 80..512 + 84].copy_from_slice(&count.to_le_bytes());
        bytes[512 + 84..512 + 88].copy_from_slice(&len.to_le_bytes());
        bytes.truncate(size);
        let _ = kind(bytes);
    }
}
