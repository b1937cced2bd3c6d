use ::devices::pci::{Bar, BarSpace, PciAddress};

use super::*;
use crate::buses::testing::TestFunction;

const BRIDGE: PciAddress = PciAddress::HOST_BRIDGE;
const PCIEXBAR: u16 = 0x60;

/// Writes to a function's configuration space, as firmware does.
fn configure(pci: &PciRoot, address: PciAddress, register: u16, value: u64) {
    let (_, function) = pci.iter().find(|(at, _)| *at == address).unwrap();
    let _ = function.lock().unwrap().config_write(register, &value.to_le_bytes());
}

#[test]
fn firmware_finds_the_chipset_and_nothing_else() {
    let root = Chipset::Q35.root().unwrap();
    let found: Vec<_> = root.functions().map(|function| function.address.to_string()).collect();
    assert_eq!(found, ["00:00.0", "00:1f.0"]);
    assert_eq!(root.next_address().unwrap().to_string(), "00:01.0");
    assert_eq!(root.ecam(), None, "until firmware says where");
}

/// Ranges as pairs.
fn pairs(ranges: &[Range<u64>]) -> Vec<(u64, u64)> {
    ranges.iter().map(|range| (range.start, range.end)).collect()
}

#[test]
fn the_window_for_bars_leaves_out_ecam() {
    let windows = |ecam: Option<Range<u64>>| pairs(&Chipset::Q35.windows(ecam.as_ref()));
    assert_eq!(windows(None), [(0x8000_0000, 0xfec0_0000)]);
    for (ecam, expected) in [
        (0xb000_0000..0xc000_0000, vec![(0x8000_0000, 0xb000_0000), (0xc000_0000, 0xfec0_0000)]),
        (0xe000_0000..0xf000_0000, vec![(0x8000_0000, 0xe000_0000), (0xf000_0000, 0xfec0_0000)]),
        (0x8000_0000..0x9000_0000, vec![(0x9000_0000, 0xfec0_0000)]),
        (0xf000_0000..0x1_0000_0000, vec![(0x8000_0000, 0xf000_0000)]),
        (0x7000_0000..0x8000_0000, vec![(0x8000_0000, 0xfec0_0000)]),
        (0x1_0000_0000..0x1_1000_0000, vec![(0x8000_0000, 0xfec0_0000)]),
    ] {
        assert_eq!(windows(Some(ecam.clone())), expected, "{ecam:x?}");
    }
    let fixed = Chipset::Fixed;
    let ecam = fixed.root().unwrap().ecam();
    assert_eq!(pairs(&fixed.windows(ecam.as_ref())), [(0xc000_0000, 0xe000_0000)]);
}

#[test]
fn acpi_has_the_addresses_that_firmware_has_set() {
    const GIB: u64 = 1 << 30;
    let pci = Arc::new(Chipset::Q35.root().unwrap());
    let address = pci.next_address().unwrap();
    let bar = Bar::new(0, BarSpace::Memory64, 1 << 20).unwrap();
    pci.insert(address, Arc::new(Mutex::new(TestFunction::new(&[bar], false)))).unwrap();
    let hardware = AcpiHardware { pci_mmio64: Some(64 * GIB..128 * GIB), ..AcpiHardware::default() };
    let placing = Placing { hardware, pci: Arc::clone(&pci), ram_end: 5 * GIB };
    let now = placing.now();
    assert_eq!((now.ecam, pairs(&now.pci_windows)), (None, vec![(0x8000_0000, 0xfec0_0000)]));
    assert_eq!(now.pci_mmio64, Some(64 * GIB..128 * GIB));

    configure(&pci, BRIDGE, PCIEXBAR, 0xb000_0001);
    for (at, expected) in [
        (0xfe00_0000, 64 * GIB..128 * GIB),
        (8 * GIB, 8 * GIB..128 * GIB),
        (100 * GIB, 64 * GIB..128 * GIB),
        (256 * GIB, 64 * GIB..256 * GIB + (1 << 20)),
        // In RAM, where there is no window.
        (4 * GIB, 64 * GIB..128 * GIB),
    ] {
        configure(&pci, address, 0x10, at);
        let now = placing.now();
        assert_eq!(now.ecam, Some(0xb000_0000..0xc000_0000));
        assert_eq!(now.pci_windows, [0x8000_0000..0xb000_0000, 0xc000_0000..0xfec0_0000]);
        assert_eq!(now.pci_mmio64, Some(expected), "{at:#x}");
    }
}

/// fw_cfg reports the length of the tables before they are generated.
#[test]
fn no_description_is_longer_than_the_announced_length() {
    let pci = Arc::new(Chipset::Q35.root().unwrap());
    let placing = Placing { hardware: AcpiHardware::default(), pci: Arc::clone(&pci), ram_end: 1 << 32 };
    let longest = arch::acpi::files(&placing.longest());
    for base in [0, 0x8000_0001, 0xb000_0001, 0xe000_0001, 0xf000_0001, 0xf_0000_0001] {
        configure(&pci, BRIDGE, PCIEXBAR, base);
        let now = arch::acpi::files(&placing.now());
        assert!(now.tables.len() <= longest.tables.len() && now.loader.len() <= longest.loader.len());
        assert_eq!(now.rsdp.len(), longest.rsdp.len());
    }
}
