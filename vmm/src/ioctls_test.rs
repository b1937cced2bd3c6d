use super::*;

/// As Linux' `include/uapi/linux/kvm.h` has them.
#[test]
fn numbers_are_kvms() {
    assert_eq!(KVM_SET_TSC_KHZ, 0xaea2);
}
