use super::*;

#[test]
fn addresses_are_read_and_written() {
    let address: MacAddress = "52:54:00:12:34:5F".parse().unwrap();
    assert_eq!(address.0, [0x52, 0x54, 0, 0x12, 0x34, 0x5f]);
    assert_eq!(address.to_string(), "52:54:00:12:34:5f");
    assert_eq!("52-54-00-12-34-5f".parse(), Ok(address));
}

#[test]
fn unsuitable_mac_addresses_are_refused() {
    for text in [
        "",
        "52:54:00:12:34",
        "52:54:00:12:34:56:78",
        "52:54:00:12:34:5g",
        "5254:00:12:34:56:",
        "+2:54:00:12:34:56",
    ] {
        assert_eq!(text.parse::<MacAddress>(), Err(MacAddressError::Form), "{text}");
    }
    assert_eq!("01:00:5e:00:00:01".parse::<MacAddress>(), Err(MacAddressError::Multicast));
    assert_eq!("00:00:00:00:00:00".parse::<MacAddress>(), Err(MacAddressError::Zero));
}

#[test]
fn a_local_address_is_of_one_device() {
    for seed in [0, 1, u64::MAX, 0x0100_0000_0000] {
        let MacAddress([first, ..]) = MacAddress::local(seed);
        assert_eq!(first & 0b11, 0b10, "{seed:#x}");
    }
    assert_ne!(MacAddress::local(1), MacAddress::local(2));
}
