use super::*;

#[test]
fn ids_below_256_stay() {
    assert_eq!(routing_address(0xfee0_1004), 0xfee0_1004);
    assert_eq!(routing_address(0xfeef_f00c), 0xfeef_f00c);
}

#[test]
fn larger_ids_go_to_the_upper_half() {
    // APIC id 0x7f01.
    assert_eq!(routing_address(0xfee0_1000 | 0x7f << 5), 0x7f00_fee0_1000);
    assert_eq!(routing_address(0xfee0_1000 | 1 << 5), 0x0100_fee0_1000);
}
