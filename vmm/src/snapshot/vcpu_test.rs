use super::*;

/// A header in KVM's form, with flags, format, and the address after VMXON.
fn header(flags: u16, format: u16, first: u64) -> Vec<u8> {
    let mut bytes = vec![0; NESTED_HEADER];
    bytes[..2].copy_from_slice(&flags.to_le_bytes());
    bytes[2..4].copy_from_slice(&format.to_le_bytes());
    bytes[4] = 128;
    bytes[8..16].copy_from_slice(&first.to_le_bytes());
    bytes
}

/// The parts that a KVM without nested virtualization may leave out.
#[test]
fn only_an_empty_header_is_idle() {
    assert_eq!(NESTED_HEADER, 128);
    assert!(is_idle(&header(0, 0, u64::MAX)));
    assert!(!is_idle(&header(0, 0, 0x1000)), "after VMXON");
    assert!(!is_idle(&header(1, 0, u64::MAX)));
    assert!(is_idle(&header(0x100, 1, 0)));
    assert!(!is_idle(&header(0, 1, 0)), "the global interrupt flag is off");
    assert!(!is_idle(&header(0, 7, u64::MAX)));
    let with_vmcs = [header(0, 0, u64::MAX), vec![0; 4096]].concat();
    assert!(!is_idle(&with_vmcs) && !is_idle(&[]));
}
