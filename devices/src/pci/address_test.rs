use super::*;

#[test]
fn an_address_is_written_as_lspci_does() {
    assert_eq!(PciAddress::new(31, 7).unwrap().to_string(), "00:1f.7");
    assert_eq!(PciAddress::HOST_BRIDGE.to_string(), "00:00.0");
    assert_eq!((PciAddress::new(32, 0), PciAddress::new(0, 8)), (None, None));
}

#[test]
fn every_device_gets_a_function_before_one_gets_two() {
    let all: Vec<_> = PciAddress::in_order().map(|address| address.to_string()).collect();
    assert_eq!(all.len(), 31 * 8);
    assert_eq!(all[..2], ["00:01.0", "00:02.0"]);
    assert_eq!(all[30..33], ["00:1f.0", "00:01.1", "00:02.1"]);
    assert_eq!(all[247], "00:1f.7");
}

#[test]
fn addresses_are_numbered_from_0_to_255() {
    let numbers: Vec<_> = PciAddress::all().map(PciAddress::index).collect();
    assert_eq!(numbers, (0..PciAddress::COUNT).collect::<Vec<_>>());
    assert!(PciAddress::all().is_sorted());
}
