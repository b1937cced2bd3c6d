use std::{fs, process::Command};

use proptest::prelude::*;
use uuid::uuid;

use super::*;
use crate::{boot, cpu::testing};

/// A structure: type, handle, formatted part without the header, strings.
type Structure = (u8, u16, Vec<u8>, Vec<String>);

fn tables(memory: u64, spec: &str, topology: &Topology, values: &SmbiosValues) -> Vec<u8> {
    let cpu = CpuProfile::resolve(&testing::haswell(), &spec.parse().unwrap(), topology).unwrap();
    let map = boot::memory_map(memory).unwrap();
    build(&SmbiosHardware { cpu: &cpu, topology, map: &map }, values).into_bytes()
}

/// The structures up to the end of the table, which must be the end.
fn structures(mut tables: &[u8]) -> Vec<Structure> {
    let mut found = Vec::new();
    loop {
        let [kind, len, low, high, ..] = *tables else { panic!("no end-of-table") };
        let (formatted, rest) = tables.split_at(len.into());
        let end = rest.windows(2).position(|two| two == [0, 0]).unwrap();
        let strings = rest[..end].split(|&byte| byte == 0).filter(|string| !string.is_empty());
        let strings = strings.map(|string| String::from_utf8(string.to_vec()).unwrap()).collect();
        found.push((kind, u16::from_le_bytes([low, high]), formatted[4..].to_vec(), strings));
        tables = &rest[end + 2..];
        if kind == 127 {
            assert!(tables.is_empty());
            return found;
        }
    }
}

/// The structure's length in bytes, with its strings.
fn structure_len((_, _, body, strings): &Structure) -> u64 {
    let strings: usize = strings.iter().map(|string| string.len() + 1).sum();
    (4 + body.len() + strings.max(1) + 1) as u64
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[test]
fn every_structure_is_there_with_the_length_of_version_3_0() {
    let topology = Topology::new(2, 1, 2, 2).unwrap();
    let found = structures(&tables(4 << 30, "host-passthrough", &topology, &SmbiosValues::default()));
    let shape: Vec<_> =
        found.iter().map(|(kind, handle, body, _)| (*kind, *handle, body.len() + 4)).collect();
    assert_eq!(
        shape,
        [
            (0, 0x0000, 0x18),
            (1, 0x0100, 0x1b),
            (2, 0x0200, 0x0f),
            (3, 0x0300, 0x16),
            (4, 0x0400, 0x30),
            (4, 0x0401, 0x30),
            (16, 0x1000, 0x17),
            (17, 0x1100, 0x28),
            (19, 0x1300, 0x1f),
            (19, 0x1301, 0x1f),
            (32, 0x2000, 0x0b),
            (127, 0x7f00, 0x04),
        ]
    );
}

#[test]
fn a_machine_without_options_is_a_kvm_virtual_machine_without_a_uuid() {
    let topology = Topology::flat(1).unwrap();
    let found = structures(&tables(128 << 20, "host-passthrough", &topology, &SmbiosValues::default()));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(found[0].3, ["nvmm", version, "01/01/2026"]);
    // "SMBIOS table describes a virtual machine".
    assert_eq!(found[0].2[0x13 - 4], 1 << 4);
    assert_eq!(found[1].3, ["nvmm", "KVM Virtual Machine", version]);
    assert_eq!(found[1].2[0x08 - 4..0x18 - 4], [0; 16]);
    // Serial, SKU and family have no string.
    assert_eq!((found[1].2[0x07 - 4], found[1].2[0x19 - 4], found[1].2[0x1a - 4]), (0, 0, 0));
}

#[test]
fn the_users_values_are_in_the_tables() {
    let text = |text: &str| Some(text.to_owned());
    let values = SmbiosValues {
        bios: Bios { release: Some((4, 17)), ..Bios::default() },
        system: System {
            manufacturer: text("Acme"),
            serial: text(""),
            uuid: Some(uuid!("00112233-4455-6677-8899-aabbccddeeff")),
            family: text("Anvils"),
            ..System::default()
        },
        oem_strings: vec!["io.systemd.credential:a=b".to_owned(), "last".to_owned()],
        ..SmbiosValues::default()
    };
    let found = structures(&tables(128 << 20, "host-passthrough", &Topology::flat(1).unwrap(), &values));
    assert_eq!(found[0].2[0x14 - 4..0x16 - 4], [4, 17]);
    let (_, _, system, strings) = &found[1];
    assert_eq!(strings, &["Acme", "KVM Virtual Machine", env!("CARGO_PKG_VERSION"), "Anvils"]);
    assert_eq!((system[0x07 - 4], system[0x1a - 4]), (0, 4));
    // "System - UUID": the example of the specification.
    let expected =
        [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    assert_eq!(system[0x08 - 4..0x18 - 4], expected);
    let oem = found.iter().find(|(kind, ..)| *kind == 11).unwrap();
    assert_eq!(
        (&oem.2[..], &oem.3[..]),
        (&[2][..], &["io.systemd.credential:a=b".to_owned(), "last".to_owned()][..])
    );
}

#[test]
fn there_is_a_processor_for_each_socket_with_its_cores_and_threads() {
    let topology = Topology::new(2, 2, 3, 2).unwrap();
    let spec = "host-passthrough,model-id=Intel(R) Xeon(R) of mine";
    let found = structures(&tables(128 << 20, spec, &topology, &SmbiosValues::default()));
    let processors: Vec<_> = found.iter().filter(|(kind, ..)| *kind == 4).collect();
    assert_eq!(processors.len(), 2);
    let cpu = CpuProfile::resolve(&testing::haswell(), &spec.parse().unwrap(), &topology).unwrap();
    let signature = cpu.leaves(0).get(crate::cpu::cpuid::Leaf::new(1));
    for (socket, (_, _, body, strings)) in processors.into_iter().enumerate() {
        assert_eq!(
            strings,
            &[format!("CPU {socket}"), "GenuineIntel".to_owned(), "Intel(R) Xeon(R) of mine".to_owned()]
        );
        assert_eq!(body[0x06 - 4], 0xb3, "Intel Xeon");
        let id = u64::from(signature.edx) << 32 | u64::from(signature.eax);
        assert_eq!(number(&body[0x08 - 4..0x10 - 4]), id);
        assert_eq!(body[0x23 - 4..0x26 - 4], [6, 6, 12]);
        // 64-bit, several cores, several threads, no-execute, VMX.
        assert_eq!(number(&body[0x26 - 4..0x28 - 4]), 0b111_1100);
        assert_eq!(body[0x2a - 4..0x30 - 4], [6, 0, 6, 0, 12, 0]);
    }
}

#[test]
fn many_cores_are_in_the_longer_fields() {
    let topology = Topology::flat(300).unwrap();
    let found = structures(&tables(128 << 20, "host-passthrough,-vmx", &topology, &SmbiosValues::default()));
    let body = &found[4].2;
    assert_eq!(body[0x23 - 4..0x26 - 4], [0xff; 3]);
    assert_eq!(number(&body[0x2a - 4..0x2c - 4]), 300);
    // 64-bit, several cores, no-execute.
    assert_eq!(number(&body[0x26 - 4..0x28 - 4]), 0b10_1100);
}

#[test]
fn memory_is_as_large_as_it_is_and_where_it_is() {
    let topology = Topology::flat(1).unwrap();
    let sizes = |memory: u64| {
        let found = structures(&tables(memory, "host-passthrough", &topology, &SmbiosValues::default()));
        let find = |kind| found.iter().find(|(found, ..)| *found == kind).unwrap();
        let (array, device) = (&find(16).2, &find(17).2);
        let ranges: Vec<_> = found
            .iter()
            .filter(|(kind, ..)| *kind == 19)
            .map(|(_, _, body, _)| {
                let ends =
                    [4..8, 8..0xc].map(|at: std::ops::Range<usize>| number(&body[at.start - 4..at.end - 4]));
                let extended = [0xf..0x17, 0x17..0x1f]
                    .map(|at: std::ops::Range<usize>| number(&body[at.start - 4..at.end - 4]));
                (ends, extended)
            })
            .collect();
        (
            [number(&array[0x07 - 4..0x0b - 4]), number(&array[0x0f - 4..0x17 - 4])],
            [number(&device[0x0c - 4..0x0e - 4]), number(&device[0x1c - 4..0x20 - 4])],
            ranges,
        )
    };
    const KIB: u64 = 1 << 10;
    const GIB: u64 = 1 << 30;
    // 2 MiB and a page: KiB, with bit 15.
    let small = (2 << 20) + 4096;
    assert_eq!(sizes(small), ([2052, small], [0x8000 | 2052, 0], vec![([0, 2051], [0, 0])]));
    let split = vec![([0, 3 * GIB / KIB - 1], [0, 0]), ([4 * GIB / KIB, 6 * GIB / KIB - 1], [0, 0])];
    assert_eq!(sizes(5 * GIB), ([5 * GIB / KIB, 5 * GIB], [5 * 1024, 0], split));
    assert_eq!(sizes(32 * GIB).1, [0x7fff, 32 * 1024]);
    let (array, device, ranges) = sizes(8 << 40);
    assert_eq!((array, device), ([0x8000_0000, 8 << 40], [0x7fff, 8 << 20]));
    assert_eq!(ranges[1], ([0xffff_ffff; 2], [4 * GIB, (8 << 40) + GIB - 1]));
}

#[test]
fn the_entry_point_is_found_by_its_anchor_and_leads_to_the_tables() {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 2 << 20)]).unwrap();
    let topology = Topology::flat(1).unwrap();
    let cpu =
        CpuProfile::resolve(&testing::haswell(), &"host-passthrough".parse().unwrap(), &topology).unwrap();
    let map = boot::memory_map(2 << 20).unwrap();
    let hardware = SmbiosHardware { cpu: &cpu, topology: &topology, map: &map };
    write(&memory, &hardware, &SmbiosValues::default()).unwrap();

    // As "SMBIOS 3.0 (64-bit) Entry Point" has a system without UEFI search.
    let entry = (0xf_0000..0x10_0000).step_by(16).find_map(|address| {
        let entry: [u8; 24] = memory.read_obj(GuestAddress(address)).unwrap();
        entry.starts_with(b"_SM3_").then_some(entry)
    });
    let entry = entry.unwrap();
    assert_eq!(entry.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)), 0);
    assert_eq!(entry[6..12], [24, 3, 0, 0, 1, 0]);
    let (len, address) = (number(&entry[12..16]), number(&entry[16..24]));
    let mut tables = vec![0; usize::try_from(len).unwrap()];
    memory.read_slice(&mut tables, GuestAddress(address)).unwrap();
    assert_eq!(structures(&tables).len(), 10);
    let kind = |address: u64| {
        let mut entries = map.e820.iter();
        entries.find(|entry| (entry.addr..entry.addr + entry.size).contains(&address)).map(|entry| entry.kind)
    };
    let reserved = Some(boot::E820Type::Reserved);
    assert_eq!((kind(address), kind(address + len - 1)), (reserved, reserved));
    // As "SMBIOS 2.1 (32-bit) Entry Point" has it: Linux before 3.19 knows no other.
    let entry = (0xf_0000..0x10_0000).step_by(16).find_map(|address| {
        let entry: [u8; 31] = memory.read_obj(GuestAddress(address)).unwrap();
        entry.starts_with(b"_SM_").then_some(entry)
    });
    let entry = entry.unwrap();
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
    assert_eq!((sum(&entry), sum(&entry[16..])), (0, 0));
    assert_eq!((&entry[5..8], &entry[16..21]), (&[31, 3, 0][..], &b"_DMI_"[..]));
    assert_eq!((number(&entry[22..24]), number(&entry[24..28])), (len, address));
    let longest = structures(&tables).iter().map(structure_len).max().unwrap();
    assert_eq!((number(&entry[8..10]), number(&entry[28..30]), entry[30]), (longest, 10, 0x30));
    // Firmware gets the same, less the address.
    let files_of = |entry| files(&hardware, &SmbiosValues::default(), entry).unwrap();
    let files = files_of(EntryPoint::Bits32);
    assert_eq!(files.tables, tables);
    assert_eq!((sum(&files.anchor), sum(&files.anchor[16..])), (0, 0));
    assert_eq!((&files.anchor[..4], &files.anchor[5..21]), (&entry[..4], &entry[5..21]));
    assert_eq!((&files.anchor[22..24], &files.anchor[28..]), (&entry[22..24], &entry[28..]));
    assert_eq!(files.anchor[24..28], [0; 4]);
    // OVMF checks the version, and that the length is the file's.
    let files = files_of(EntryPoint::Bits64);
    assert_eq!(files.tables, tables);
    assert_eq!(sum(&files.anchor), 0);
    assert_eq!((&files.anchor[..5], &files.anchor[6..12]), (&b"_SM3_"[..], &[24, 3, 0, 0, 1, 0][..]));
    assert_eq!((number(&files.anchor[12..16]), number(&files.anchor[16..])), (len, 0));
    // The entry of the ACPI tables has the entry point too.
    let acpi = Some(boot::E820Type::Acpi);
    let end = layout::SMBIOS_ENTRY + 32 + 31;
    assert_eq!((kind(layout::SMBIOS_ENTRY), kind(end - 1)), (acpi, acpi));
}

#[test]
fn values_that_are_too_long_are_refused_and_many_sockets_are_not() {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 2 << 20)]).unwrap();
    let map = boot::memory_map(2 << 20).unwrap();
    let written = |topology: &Topology, values: &SmbiosValues| {
        let cpu =
            CpuProfile::resolve(&testing::haswell(), &"host-passthrough".parse().unwrap(), topology).unwrap();
        write(&memory, &SmbiosHardware { cpu: &cpu, topology, map: &map }, values)
    };
    written(&Topology::new(4096, 1, 1, 1).unwrap(), &SmbiosValues::default()).unwrap();
    let values = SmbiosValues { oem_strings: vec!["x".repeat(0x2_0000)], ..SmbiosValues::default() };
    let topology = Topology::flat(1).unwrap();
    let cpu =
        CpuProfile::resolve(&testing::haswell(), &"host-passthrough".parse().unwrap(), &topology).unwrap();
    let hardware = SmbiosHardware { cpu: &cpu, topology: &topology, map: &map };
    let as_files = files(&hardware, &values, EntryPoint::Bits32);
    for error in [written(&topology, &values).unwrap_err(), as_files.unwrap_err()] {
        let error = error.to_string();
        assert!(error.starts_with("--smbios: the tables would take 131"), "{error}");
        assert!(error.ends_with("bytes, and there is room for 131072; give shorter values"), "{error}");
    }
}

/// The 32-bit entry point has 16 bits for the length.
#[test]
fn long_structures_have_the_64_bit_entry_point_alone() {
    let map = boot::memory_map(2 << 20).unwrap();
    let topology = Topology::flat(1).unwrap();
    let cpu =
        CpuProfile::resolve(&testing::haswell(), &"host-passthrough".parse().unwrap(), &topology).unwrap();
    let hardware = SmbiosHardware { cpu: &cpu, topology: &topology, map: &map };
    for (len, anchor) in [(0xf000, &b"_SM_"[..]), (0x1_0000, b"_SM3_")] {
        let values = SmbiosValues { oem_strings: vec!["x".repeat(len)], ..SmbiosValues::default() };
        let files = files(&hardware, &values, EntryPoint::Bits32).unwrap();
        assert!(files.anchor.starts_with(anchor), "{len}");
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), 2 << 20)]).unwrap();
        write(&memory, &hardware, &values).unwrap();
        let mut entries = [0; 64];
        memory.read_slice(&mut entries, GuestAddress(layout::SMBIOS_ENTRY)).unwrap();
        let both = entries.starts_with(b"_SM3_") && entries[32..].starts_with(b"_SM_");
        assert_eq!(both, anchor == b"_SM_", "{len}");
    }
}

proptest! {
    // Each decides on a CPU anew.
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// No string breaks the table.
    #[test]
    fn strings_come_out_as_they_went_in(oem in prop::collection::vec("[^\0]{1,20}", 0..600), serial: String) {
        let values = SmbiosValues {
            system: System { serial: Some(serial.clone()), ..System::default() },
            oem_strings: oem.clone(),
            ..SmbiosValues::default()
        };
        let found = structures(&tables(128 << 20, "host-passthrough", &Topology::flat(1).unwrap(), &values));
        let strings: Vec<_> = found.iter().filter(|(kind, ..)| *kind == 11).flat_map(|(.., strings)| strings.clone()).collect();
        prop_assert_eq!(strings, oem);
        let kept = serial.split('\0').next().unwrap();
        prop_assert_eq!(found[1].3.get(3).map_or("", String::as_str), kept);
    }
}

/// Runs dmidecode on them, in the form of `dmidecode --dump-bin`.
#[test]
fn dmidecode_reads_the_tables() {
    if Command::new("dmidecode").arg("--version").output().is_err() {
        eprintln!("skipped: dmidecode is not installed");
        return;
    }
    let values = SmbiosValues {
        system: System {
            serial: Some("S1".to_owned()),
            uuid: Some(uuid!("00112233-4455-6677-8899-aabbccddeeff")),
            ..System::default()
        },
        processor: Processor { max_speed: Some(3600), ..Processor::default() },
        oem_strings: vec!["an OEM string".to_owned()],
        ..SmbiosValues::default()
    };
    let topology = Topology::new(2, 1, 2, 2).unwrap();
    let tables = tables(5 << 30, "host-passthrough,model-id=Intel(R) Core(TM) i7", &topology, &values);
    let mut dump = EntryPoint64::new(u32::try_from(tables.len()).unwrap(), 32).as_bytes().to_vec();
    dump.resize(32, 0);
    dump.extend(&tables);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dump");
    fs::write(&file, dump).unwrap();
    let output = Command::new("dmidecode").arg("--from-dump").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    for line in [
        "SMBIOS 3.0.0 present.",
        "System is a virtual machine",
        "Product Name: KVM Virtual Machine",
        "Serial Number: S1",
        "UUID: 00112233-4455-6677-8899-aabbccddeeff",
        "Wake-up Type: Power Switch",
        "Type: Motherboard",
        "Socket Designation: CPU 1",
        "Family: Core i7",
        "Manufacturer: GenuineIntel",
        "Max Speed: 3600 MHz",
        "Status: Populated, Enabled",
        "Core Count: 2",
        "Thread Count: 4",
        "Hardware Thread",
        "Enhanced Virtualization",
        "String 1: an OEM string",
        "Maximum Capacity: 5 GB",
        "Size: 5 GB",
        "Range Size: 3 GB",
        "Range Size: 2 GB",
        "Status: No errors detected",
        "End Of Table",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    for complaint in [
        "OUT OF SPEC",
        "ruptured",
        "roken",
        "nvalid",
        "rong",
        "mismatch",
        "ncomplete",
        "Warning",
        "BAD INDEX",
    ] {
        assert!(!said.contains(complaint), "{complaint}: {said}");
    }
}
