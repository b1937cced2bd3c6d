use std::{collections::BTreeMap, ops::Range};

use super::*;
use crate::acpi::{
    AcpiHardware, build, files,
    tests::{full, sum},
};
use crate::layout;

/// A place for the generation ID.
const GENERATION: (&str, u64) = ("etc/vmgenid_guid", layout::VM_GENERATION_ID);

/// The way that firmware makes a checksum.
type Checksum = fn(u8, u8) -> u8;

/// SeaBIOS takes the sum from the byte that is there.
const SEABIOS: Checksum = |there, sum| there.wrapping_sub(sum);
/// OVMF overwrites it, though the sum is one of all bytes.
const OVMF: Checksum = |_, sum| sum.wrapping_neg();

/// Does as the script says, with the memory for each file at the address that `addresses` has for its name. Returns the files as they
/// are then, and the addresses that were pointed to.
fn run(files: &Files, addresses: &BTreeMap<&str, u64>, checksum: Checksum) -> (Vec<u8>, Vec<u8>, Vec<u64>) {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let field = |command: &[u8], at: usize| usize::try_from(number(&command[at..at + 4])).unwrap();
    let name = |command: &[u8], at: usize| {
        let name = command[at..at + 56].split(|&byte| byte == 0).next().unwrap();
        String::from_utf8(name.to_vec()).unwrap()
    };
    let given = BTreeMap::from([
        ("etc/acpi/rsdp".to_owned(), &files.rsdp),
        ("etc/acpi/tables".to_owned(), &files.tables),
        (GENERATION.0.to_owned(), &files.generation),
    ]);
    let mut memory: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut pointed_to = Vec::new();
    assert!(files.loader.len().is_multiple_of(128));
    for command in files.loader.chunks(128) {
        let file = name(command, 4);
        match number(&command[..4]) {
            1 => {
                let (align, zone) = (number(&command[60..64]), command[64]);
                let address = addresses[&*file];
                assert!(align.is_power_of_two() && address.is_multiple_of(align), "{file}: {align}");
                assert_eq!(zone, if file == "etc/acpi/rsdp" { 2 } else { 1 }, "{file}");
                assert_eq!(memory.insert(file.clone(), given[&file].clone()), None, "{file}");
            }
            2 => {
                let (target, at, size) = (name(command, 60), field(command, 116), usize::from(command[120]));
                assert!([4, 8].contains(&size));
                assert!(memory.contains_key(&target));
                let bytes = &mut memory.get_mut(&file).unwrap()[at..at + size];
                let address = number(bytes) + addresses[&*target];
                bytes.copy_from_slice(&address.to_le_bytes()[..size]);
                pointed_to.push(address);
            }
            3 => {
                let (at, start, len) = (field(command, 60), field(command, 64), field(command, 68));
                let bytes = memory.get_mut(&file).unwrap();
                bytes[at] = checksum(bytes[at], sum(&bytes[start..start + len]));
            }
            other => panic!("command {other}"),
        }
    }
    let [rsdp, tables] = ["etc/acpi/rsdp", "etc/acpi/tables"].map(|name| memory.remove(name).unwrap());
    (rsdp, tables, pointed_to)
}

/// Machines with all, and with little.
fn machines() -> [AcpiHardware; 3] {
    let many: Vec<u32> = (0..300).collect();
    let of_firmware = AcpiHardware {
        ecam: Some(0xb000_0000..0xc000_0000),
        pci_windows: vec![0x8000_0000..0xb000_0000, 0xc000_0000..0xfec0_0000],
        ..full(&many)
    };
    [full(&[0]), of_firmware, AcpiHardware { apic_ids: vec![0], ..AcpiHardware::default() }]
}

#[test]
fn the_script_makes_the_tables_that_a_kernel_would_get_at_these_addresses() {
    for hardware in machines() {
        let files = files(&hardware);
        for at in [0xe_0000, 0xf_5a40, 0x7fff_0000_u64] {
            let expected = build(&hardware).place(at);
            let addresses = BTreeMap::from([("etc/acpi/rsdp", at), ("etc/acpi/tables", at + 64), GENERATION]);
            for checksum in [SEABIOS, OVMF] {
                let (rsdp, tables, _) = run(&files, &addresses, checksum);
                assert_eq!(rsdp, expected[..36]);
                assert_eq!(tables, expected[64..]);
            }
        }
    }
}

#[test]
fn with_the_files_apart_every_checksum_is_right_and_every_pointer_leads_to_a_table() {
    let (rsdp_at, tables_at) = (0xf_5a50, 0x7ffd_4000);
    let addresses = BTreeMap::from([("etc/acpi/rsdp", rsdp_at), ("etc/acpi/tables", tables_at), GENERATION]);
    for hardware in machines() {
        for checksum in [SEABIOS, OVMF] {
            let (rsdp, tables, pointed_to) = run(&files(&hardware), &addresses, checksum);
            assert_eq!((&rsdp[..8], rsdp.len()), (&b"RSD PTR "[..], 36));
            assert_eq!((sum(&rsdp[..20]), sum(&rsdp)), (0, 0));
            let places = pointed_to.iter().filter(|address| **address == GENERATION.1).count();
            assert_eq!(places, if hardware.vm_generation { 2 } else { 0 });
            let mut found: Vec<_> = pointed_to
                .iter()
                .filter(|address| **address != GENERATION.1)
                .map(|address| {
                    let start = usize::try_from(address - tables_at).unwrap();
                    let len = u32::from_le_bytes(tables[start + 4..start + 8].try_into().unwrap());
                    let table = &tables[start..start + usize::try_from(len).unwrap()];
                    let signature = String::from_utf8(table[..4].to_vec()).unwrap();
                    // The FACS has none.
                    assert!(signature == "FACS" || sum(table) == 0, "{signature}");
                    signature
                })
                .collect();
            found.sort();
            found.dedup();
            let mcfg = hardware.ecam.as_ref().map(|_| "MCFG");
            let expected: Vec<_> =
                ["APIC", "DSDT", "FACP", "FACS"].into_iter().chain(mcfg).chain(["RSDT", "XSDT"]).collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn names_are_short_enough_for_the_script() {
    for file in [Files::RSDP, Files::TABLES, Files::GENERATION, Files::LOADER] {
        let name = name(file);
        let Range { start, end } = file.len()..name.len();
        assert!(start < end && name[start..].iter().all(|&byte| byte == 0), "{file}");
    }
}
