use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use devices::pci::{BarError, Identity};

use super::*;
use crate::buses::testing::TestFunction;

#[test]
fn functions_are_shown_as_qemu_shows_them() {
    let root = PciRoot::new();
    let identity = Identity {
        name: "disk",
        vendor_id: 0x1af4,
        device_id: 0x1042,
        revision_id: 1,
        class: ClassCode { base: 1, sub: 0x80, interface: 0 },
        subsystem_vendor_id: 0x1af4,
        subsystem_id: 0x1100,
    };
    let mut config = ConfigSpace::new(identity);
    config.add_bar(Bar::new(0, BarSpace::Memory32, 0x4000).unwrap()).unwrap();
    config.add_bar(Bar::new(2, BarSpace::Io, 0x20).unwrap()).unwrap();
    let place = |bar: Bar| Ok::<_, BarError>(if bar.space() == BarSpace::Io { 0xc000 } else { 0xc000_0000 });
    config.place_bars(place).unwrap();
    config.set_interrupt(1, 11);
    // Memory decodes, ports don't.
    let _decodes = config.write(4, &[2, 0]);
    let other = Identity { class: ClassCode { base: 0xff, sub: 0, interface: 0 }, ..identity };
    for (device, config) in [(1, config), (2, ConfigSpace::new(other))] {
        let address = PciAddress::new(device, 0).unwrap();
        let function = TestFunction { config, memory: BTreeMap::new() };
        root.insert(address, Arc::new(Mutex::new(function))).unwrap();
    }
    let text = InfoPci(&root).to_string();
    let (host_bridge, others) = text.split_at(text.find("  Bus  0, device   1").unwrap());
    assert!(host_bridge.starts_with("  Bus  0, device   0, function 0:\n    Host bridge: PCI device "));
    let expected = "  Bus  0, device   1, function 0:
    Storage controller: PCI device 1af4:1042
      PCI subsystem 1af4:1100
      IRQ 11, pin A
      BAR0: 32 bit memory at 0xc0000000 [0xc0003fff]
      BAR2: I/O (not mapped)
      id \"\"
  Bus  0, device   2, function 0:
    Class 65280: PCI device 1af4:1042
      PCI subsystem 1af4:1100
      id \"\"
";
    assert_eq!(others, expected);
}
