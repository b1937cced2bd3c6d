use super::*;

#[test]
fn destinations_above_255_move_to_the_upper_half() {
    let message = MsiMessage { address: 0xfee0_5040 | 0x0c, data: 0x41 };
    let plain = to_kvm(message, false);
    assert_eq!((plain.address_lo, plain.address_hi, plain.data), (0xfee0_504c, 0, 0x41));
    let wide = to_kvm(message, true);
    assert_eq!((wide.address_lo, wide.address_hi, wide.data), (0xfee0_500c, 0x200, 0x41));
}
