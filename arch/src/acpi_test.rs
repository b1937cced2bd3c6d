use std::{iter, ops::Range, process::Command};

use vm_memory::{Bytes, GuestAddress};

use super::*;

const COM1: IsaDevice = IsaDevice {
    name: *b"COM1",
    hid: HardwareId::Eisa("PNP0501"),
    uid: 0,
    ports: layout::COM1..layout::COM1 + 8,
    gsi: Some(layout::COM1_GSI),
};
const RTC: IsaDevice = IsaDevice {
    name: *b"RTC_",
    hid: HardwareId::Eisa("PNP0B00"),
    uid: 0,
    ports: layout::CMOS..layout::CMOS + 2,
    gsi: Some(layout::RTC_GSI),
};
const KEYBOARD: IsaDevice = IsaDevice {
    name: *b"KBD_",
    hid: HardwareId::Eisa("PNP0303"),
    uid: 0,
    ports: layout::I8042..layout::I8042 + 5,
    gsi: Some(layout::KEYBOARD_GSI),
};
const PVPANIC: IsaDevice = IsaDevice {
    name: *b"PEVT",
    hid: HardwareId::Acpi("QEMU0001"),
    uid: 7,
    ports: layout::PVPANIC..layout::PVPANIC + 1,
    gsi: None,
};

const MMIO64: Range<u64> = 64 << 30..128 << 30;

/// The image of a kernel's machine.
fn placed(hardware: &AcpiHardware) -> Vec<u8> {
    build(hardware).place(layout::ACPI_TABLES)
}

/// A machine with all that there can be.
pub(super) fn full(apic_ids: &[u32]) -> AcpiHardware {
    AcpiHardware {
        apic_ids: apic_ids.to_vec(),
        isa: vec![COM1, RTC, PVPANIC, KEYBOARD],
        pm_timer: true,
        vm_generation: true,
        vga: true,
        ecam: Some(layout::ECAM..layout::ECAM + layout::ECAM_LEN),
        pci_windows: iter::once(layout::PCI_MMIO..layout::ECAM).collect(),
        pci_mmio64: Some(MMIO64),
    }
}

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

pub(super) fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[test]
fn every_table_is_there_and_adds_up() {
    let image = placed(&full(&[0, 1]));
    assert_eq!((sum(&image[..20]), sum(&image[..36])), (0, 0));
    let tables = tables(&image);
    let signatures: Vec<_> = tables.iter().map(|table| &table[..4]).collect();
    assert_eq!(signatures, [b"XSDT", b"FACP", b"APIC", b"MCFG", b"DSDT"]);
    for table in tables {
        assert_eq!(sum(table), 0, "{:?}", &table[..4]);
    }
}

/// ACPI 1.0 knew 32-bit pointers alone.
#[test]
fn the_rsdt_leads_to_the_same_tables_as_the_xsdt() {
    let image = placed(&full(&[0, 1]));
    let dword = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let start = usize::try_from(u64::from(dword(&image[16..20])) - layout::ACPI_TABLES).unwrap();
    let len = usize::try_from(dword(&image[start + 4..start + 8])).unwrap();
    let rsdt = &image[start..start + len];
    assert_eq!((&rsdt[..4], rsdt[8], sum(rsdt)), (&b"RSDT"[..], 1, 0));
    let entries: Vec<u64> = rsdt[36..].chunks(4).map(|entry| dword(entry).into()).collect();
    let tables = tables(&image);
    let xsdt = find(&tables, b"XSDT");
    let expected: Vec<u64> =
        xsdt[36..].chunks(8).map(|entry| u64::from_le_bytes(entry.try_into().unwrap())).collect();
    assert_eq!(entries, expected);
}

#[test]
fn facs_is_aligned() {
    let image = placed(&full(&[0]));
    let tables = tables(&image);
    let facs = u32::from_le_bytes(find(&tables, b"FACP")[36..40].try_into().unwrap());
    assert_eq!(facs % 64, 0);
    let at = usize::try_from(u64::from(facs) - layout::ACPI_TABLES).unwrap();
    assert_eq!(&image[at..at + 4], b"FACS");
}

#[test]
fn large_apic_ids_get_x2apic_entries() {
    let ids: Vec<u32> = (0..300).collect();
    let image = placed(&full(&ids));
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
    assert_eq!(write(&memory, &full(&ids[..4096])).unwrap(), layout::ACPI_TABLES);
    let mut signature = [0; 8];
    memory.read_slice(&mut signature, GuestAddress(layout::ACPI_TABLES)).unwrap();
    assert_eq!(&signature, b"RSD PTR ");
    assert!(matches!(write(&memory, &full(&ids)), Err(AcpiError::TooLong { cpus: 10_000, .. })));
}

#[test]
fn the_fadt_follows_from_the_devices() {
    const LEGACY_DEVICES: u16 = 1 << 0;
    const I8042: u16 = 1 << 1;
    const CMOS_RTC_NOT_PRESENT: u16 = 1 << 5;
    const TMR_VAL_EXT: u32 = 1 << 8;
    // IAPC_BOOT_ARCH; CENTURY; TMR_VAL_EXT; PM_TMR_BLK, PM_TMR_LEN; X_PM_TMR_BLK.
    let facts = |isa: &[IsaDevice], pm_timer| {
        let image = placed(&AcpiHardware {
            apic_ids: vec![0],
            isa: isa.to_vec(),
            pm_timer,
            ..AcpiHardware::default()
        });
        let tables = tables(&image);
        let fadt = find(&tables, b"FACP");
        let word = |at: usize| u16::from_le_bytes(fadt[at..at + 2].try_into().unwrap());
        let dword = |at: usize| u32::from_le_bytes(fadt[at..at + 4].try_into().unwrap());
        let gas: [u8; 12] = fadt[208..220].try_into().unwrap();
        let boot_arch = word(109) & (LEGACY_DEVICES | I8042 | CMOS_RTC_NOT_PRESENT);
        (boot_arch, fadt[108], dword(112) & TMR_VAL_EXT, (dword(76), fadt[91]), gas)
    };
    assert_eq!(facts(&[], false), (CMOS_RTC_NOT_PRESENT, 0, 0, (0, 0), [0; 12]));
    assert_eq!(facts(&[COM1], false).0, LEGACY_DEVICES | CMOS_RTC_NOT_PRESENT);
    let (boot_arch, century, ..) = facts(&[RTC], false);
    assert_eq!((boot_arch, century), (0, 0x32));
    assert_eq!(facts(&[RTC, KEYBOARD], false).0, I8042);
    // System I/O, 32 bits wide, at bit 0, accessed as a doubleword.
    let timer = [1, 32, 0, 3, 0x08, 0x06, 0, 0, 0, 0, 0, 0];
    assert_eq!(facts(&[COM1, RTC], true), (LEGACY_DEVICES, 0x32, TMR_VAL_EXT, (0x608, 4), timer));
}

#[test]
fn the_fadt_reports_whether_there_is_a_screen() {
    const VGA_NOT_PRESENT: u8 = 1 << 2;
    const HEADLESS: u8 = 1 << 4;
    let flags = |vga| {
        let image = placed(&AcpiHardware { apic_ids: vec![0], vga, ..AcpiHardware::default() });
        let tables = tables(&image);
        let fadt = find(&tables, b"FACP");
        // IAPC_BOOT_ARCH, and HEADLESS in the second byte of the flags.
        (fadt[109] & VGA_NOT_PRESENT, fadt[113] & HEADLESS)
    };
    assert_eq!(flags(false), (VGA_NOT_PRESENT, HEADLESS));
    assert_eq!(flags(true), (0, 0));
}

#[test]
fn each_device_has_a_node_in_the_dsdt() {
    let image = placed(&full(&[0]));
    let tables = tables(&image);
    let dsdt = find(&tables, b"DSDT");
    let count = |aml: &[u8]| dsdt.windows(aml.len()).filter(|window| *window == aml).count();
    // _HID by a DWordPrefix, with the EISA id's bytes; _UID 0; _CRS with I/O 3F8H to 3FFH and the interrupt, a consumer's edge.
    let com1 = b"COM1\x08_HID\x0c\x41\xd0\x05\x01\x08_UID\x00\x08_CRS";
    assert_eq!(count(com1), 1);
    assert_eq!(count(b"\x47\x01\xf8\x03\xf8\x03\x01\x08\x89\x06\x00\x03\x01\x04\x00\x00\x00\x79"), 1);
    assert_eq!(count(b"RTC_\x08_HID\x0c\x41\xd0\x0b\x00\x08_UID\x00"), 1);
    assert_eq!(count(b"\x47\x01\x70\x00\x70\x00\x01\x02\x89\x06\x00\x03\x01\x08\x00\x00\x00\x79"), 1);
    // The data port and the status port, and none between them.
    assert_eq!(count(b"KBD_\x08_HID\x0c\x41\xd0\x03\x03\x08_UID\x00"), 1);
    let ports = b"\x47\x01\x60\x00\x60\x00\x01\x01\x47\x01\x64\x00\x64\x00\x01\x01";
    assert_eq!(count(&[&ports[..], b"\x89\x06\x00\x03\x01\x01\x00\x00\x00\x79"].concat()), 1);
    // _HID by a StringPrefix; no interrupt before the end tag.
    assert_eq!(count(b"PEVT\x08_HID\x0dQEMU0001\x00\x08_UID\x0a\x07"), 1);
    assert_eq!(count(b"\x47\x01\x05\x05\x05\x05\x01\x01\x79"), 1);

    // The generation ID: its address as a number, and in the package that ADDR returns.
    assert_eq!(count(b"VGEN\x08_HID\x0dNVMM0001\x00\x08_CID\x12"), 1);
    assert_eq!(count(b"\x08VGIA\x0c\x00\xe0\x0f\x00\x08VGIP\x12\x08\x02\x0c\x00\xe0\x0f\x00\x00"), 1);
    assert_eq!(count(b"ADDR\x08\x70VGIAVGIO\xa4VGIP"), 1);
    assert_eq!(count(b"GED_\x08_HID\x0dACPI0013\x00\x08_UID\x00"), 1);
    assert_eq!(count(b"\x89\x06\x00\x03\x01\x05\x00\x00\x00\x79"), 1);
    assert_eq!(count(b"_EVT\x09\x86\x5c\x2e_SB_VGEN\x0a\x80"), 1);

    let bare = placed(&AcpiHardware { apic_ids: vec![0], ..AcpiHardware::default() });
    let tables = self::tables(&bare);
    let dsdt = find(&tables, b"DSDT");
    for name in [COM1.name, RTC.name, PVPANIC.name, KEYBOARD.name, *b"VGEN", *b"GED_"] {
        assert!(!dsdt.windows(4).any(|window| window == name), "{name:?}");
    }
}

#[test]
fn the_host_bridge_has_the_window_above_ram_if_there_is_one() {
    /// A QWord Address Space Descriptor, 43 bytes long.
    const QWORD: [u8; 3] = [0x8a, 0x2b, 0];
    let qword = |hardware: &AcpiHardware| {
        let image = placed(hardware);
        let tables = tables(&image);
        let dsdt = find(&tables, b"DSDT");
        let found = dsdt.windows(46).filter(|bytes| bytes.starts_with(&QWORD)).map(<[u8]>::to_vec);
        found.collect::<Vec<_>>()
    };
    let [window] = qword(&full(&[0])).try_into().unwrap();
    // Memory; both ends fixed, decoded positively; cacheable, read and written.
    assert_eq!(window[3..6], [0, 0x0c, 0x03]);
    let fields: Vec<_> =
        window[6..].chunks(8).map(|field| u64::from_le_bytes(field.try_into().unwrap())).collect();
    assert_eq!(fields, [0, MMIO64.start, MMIO64.end - 1, 0, MMIO64.end - MMIO64.start]);
    assert_eq!(qword(&AcpiHardware { pci_mmio64: None, ..full(&[0]) }), Vec::<Vec<u8>>::new());
}

#[test]
fn the_host_bridge_has_every_window_below_4_gib() {
    /// A DWord Address Space Descriptor, 23 bytes long: memory; both ends fixed, decoded positively; not cacheable, read and written.
    const DWORD: [u8; 6] = [0x87, 0x17, 0, 0, 0x0c, 0x01];
    let windows = |pci_windows: &[Range<u64>]| {
        let image = placed(&AcpiHardware { pci_windows: pci_windows.to_vec(), ..full(&[0]) });
        let tables = tables(&image);
        let found = find(&tables, b"DSDT").windows(26).filter(|bytes| bytes.starts_with(&DWORD));
        let field =
            |bytes: &[u8], at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
        found
            .map(|bytes| {
                assert_eq!((field(bytes, 6), field(bytes, 18)), (0, 0));
                let (first, last, len) = (field(bytes, 10), field(bytes, 14), field(bytes, 22));
                assert_eq!(len, last - first + 1);
                first..last + 1
            })
            .collect::<Vec<_>>()
    };
    let of_firmware = [0x8000_0000..0xb000_0000, 0xc000_0000..0xfec0_0000];
    for expected in [&[][..], &of_firmware[..1], &of_firmware] {
        assert_eq!(windows(expected), expected);
    }
}

#[test]
fn the_configuration_space_is_where_firmware_has_put_it() {
    // MCFG's entry: base, segment, first and last bus. MBRD's: a 32-bit Fixed Memory Range Descriptor, read and written.
    let facts = |ecam: Range<u64>| {
        let image = placed(&AcpiHardware { ecam: Some(ecam), ..full(&[0]) });
        let tables = tables(&image);
        let mcfg = find(&tables, b"MCFG");
        assert_eq!(mcfg.len(), 36 + 8 + 16);
        let base = u64::from_le_bytes(mcfg[44..52].try_into().unwrap());
        let dsdt = find(&tables, b"DSDT");
        let at = dsdt.windows(4).position(|name| name == b"MBRD").unwrap();
        let fixed = dsdt[at..].windows(12).find(|bytes| bytes.starts_with(&[0x86, 9, 0, 1])).map(|bytes| {
            let field = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            (field(4), field(8))
        });
        (base, [mcfg[52], mcfg[53]], [mcfg[54], mcfg[55]], fixed)
    };
    assert_eq!(
        facts(0xe000_0000..0xe010_0000),
        (0xe000_0000, [0, 0], [0, 0], Some((0xe000_0000, 0x10_0000)))
    );
    assert_eq!(
        facts(0xb000_0000..0xc000_0000),
        (0xb000_0000, [0, 0], [0, 255], Some((0xb000_0000, 0x1000_0000)))
    );
    // Only a guest that means harm has it there.
    assert_eq!(facts(0x7f_f000_0000..0x80_0000_0000), (0x7f_f000_0000, [0, 0], [0, 255], None));

    let none = placed(&AcpiHardware { ecam: None, ..full(&[0]) });
    let tables = tables(&none);
    let signatures: Vec<_> = tables.iter().map(|table| &table[..4]).collect();
    assert_eq!(signatures, [b"XSDT", b"FACP", b"APIC", b"DSDT"]);
    assert!(!find(&tables, b"DSDT").windows(4).any(|name| name == b"MBRD"));
}

#[test]
fn every_pin_of_every_device_is_routed() {
    const BYTE: u8 = 0x0a;
    const DWORD: u8 = 0x0c;
    let image = placed(&full(&[0]));
    let tables = tables(&image);
    let dsdt = find(&tables, b"DSDT");
    // The host bridge's has a shorter encoding.
    for device in 1..32_u8 {
        // A package of four: the address of any function, the pin, no link device, the input of the IOAPIC.
        let address = [DWORD, 0xff, 0xff, device, 0];
        let routes = dsdt.windows(10).filter(|bytes| bytes.starts_with(&address));
        let gsi = |pin: u8| 16 + (device + pin) % 8;
        let expected = [
            vec![0, 0, BYTE, gsi(0)],
            vec![1, 0, BYTE, gsi(1)],
            vec![BYTE, 2, 0, BYTE, gsi(2)],
            vec![BYTE, 3, 0, BYTE, gsi(3)],
        ];
        let found: Vec<_> = routes.zip(&expected).map(|(route, want)| &route[5..5 + want.len()]).collect();
        assert_eq!(found, expected, "device {device}");
    }
}

/// Runs ACPICA's own disassembler and compiler on the tables.
#[test]
fn iasl_accepts_the_tables() {
    if Command::new("iasl").arg("-v").output().is_err() {
        eprintln!("skipped: iasl (acpica-tools) is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let iasl = |args: &[&str]| {
        let output = Command::new("iasl").args(args).current_dir(dir.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    let of_firmware = AcpiHardware {
        ecam: Some(0xb000_0000..0xc000_0000),
        pci_windows: vec![0x8000_0000..0xb000_0000, 0xc000_0000..0xfec0_0000],
        ..full(&[0])
    };
    let bare = AcpiHardware { apic_ids: vec![0], ..AcpiHardware::default() };
    for hardware in [full(&[0, 1, 2, 1000]), of_firmware, bare] {
        let image = placed(&hardware);
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
}
