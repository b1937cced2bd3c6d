use std::process::Command;

use vm_memory::{Bytes, GuestAddress};

use super::*;

/// The tables that the RSDP leads to, the RSDP's XSDT first.
fn tables(image: &[u8]) -> Vec<&[u8]> {
    let table = |at: u64| {
        let start = usize::try_from(at - layout::ACPI_TABLES).unwrap();
        let len = u32::from_le_bytes(image[start + 4..start + 8].try_into().unwrap());
        &image[start..start + usize::try_from(len).unwrap()]
    };
    let qword = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    assert_eq!(&image[..8], b"RSD PTR ");
    let xsdt = table(qword(&image[24..32]));
    let mut tables = vec![xsdt];
    tables.extend(xsdt[36..].chunks(8).map(|address| table(qword(address))));
    let fadt = find(&tables, b"FACP");
    tables.push(table(qword(&fadt[140..148])));
    tables
}

fn find<'a>(tables: &[&'a [u8]], signature: &[u8]) -> &'a [u8] {
    tables.iter().find(|table| table.starts_with(signature)).unwrap()
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[test]
fn every_table_is_there_and_adds_up() {
    let image = build(&[0, 1]);
    assert_eq!((sum(&image[..20]), sum(&image[..36])), (0, 0));
    let tables = tables(&image);
    let signatures: Vec<_> = tables.iter().map(|table| &table[..4]).collect();
    assert_eq!(signatures, [b"XSDT", b"FACP", b"APIC", b"MCFG", b"DSDT"]);
    for table in tables {
        assert_eq!(sum(table), 0, "{:?}", &table[..4]);
    }
}

#[test]
fn facs_is_aligned() {
    let image = build(&[0]);
    let tables = tables(&image);
    let facs = u32::from_le_bytes(find(&tables, b"FACP")[36..40].try_into().unwrap());
    assert_eq!(facs % 64, 0);
    let at = usize::try_from(u64::from(facs) - layout::ACPI_TABLES).unwrap();
    assert_eq!(&image[at..at + 4], b"FACS");
}

#[test]
fn large_apic_ids_get_x2apic_entries() {
    let ids: Vec<u32> = (0..300).collect();
    let image = build(&ids);
    let tables = tables(&image);
    let mut entries = &find(&tables, b"APIC")[44..];
    let (mut local, mut x2apic, mut nmi) = (Vec::new(), Vec::new(), Vec::new());
    while let [kind, len, ..] = *entries {
        let entry = &entries[..usize::from(len)];
        match kind {
            0 => local.push((u32::from(entry[2]), u32::from(entry[3]))),
            9 => x2apic.push((
                u32::from_le_bytes(entry[12..16].try_into().unwrap()),
                u32::from_le_bytes(entry[4..8].try_into().unwrap()),
            )),
            4 | 10 => nmi.push(kind),
            _ => {}
        }
        entries = &entries[usize::from(len)..];
    }
    assert_eq!(local, (0..255).map(|id| (id, id)).collect::<Vec<_>>());
    assert_eq!(x2apic, (255..300).map(|id| (id, id)).collect::<Vec<_>>());
    assert_eq!(nmi, [4, 10]);
}

#[test]
fn the_most_vcpus_fit_and_more_are_refused() {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 2 << 20)]).unwrap();
    let ids: Vec<u32> = (0..10_000).collect();
    assert_eq!(write(&memory, &ids[..4096]).unwrap(), layout::ACPI_TABLES);
    let mut signature = [0; 8];
    memory.read_slice(&mut signature, GuestAddress(layout::ACPI_TABLES)).unwrap();
    assert_eq!(&signature, b"RSD PTR ");
    assert!(matches!(write(&memory, &ids), Err(AcpiError::TooLong { cpus: 10_000, .. })));
}

/// Has ACPICA's own disassembler and compiler read the tables.
#[test]
fn iasl_accepts_the_tables() {
    if Command::new("iasl").arg("-v").output().is_err() {
        eprintln!("skipped: iasl (acpica-tools) is not installed");
        return;
    }
    let image = build(&[0, 1, 2, 1000]);
    let dir = tempfile::tempdir().unwrap();
    let iasl = |args: &[&str]| {
        let output = Command::new("iasl").args(args).current_dir(dir.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    for table in tables(&image) {
        let name = String::from_utf8_lossy(&table[..4]).to_lowercase();
        let (binary, source) = (format!("{name}.dat"), format!("{name}.dsl"));
        std::fs::write(dir.path().join(&binary), table).unwrap();
        let said = iasl(&["-d", &binary]);
        let disassembly = std::fs::read_to_string(dir.path().join(&source)).unwrap();
        for text in [said, disassembly] {
            for complaint in ["rror", "arning", "nknown", "nvalid"] {
                assert!(!text.contains(complaint), "{text}");
            }
        }
        let said = iasl(&[&source]);
        assert!(said.contains("0 Errors, 0 Warnings"), "{said}");
    }
}
