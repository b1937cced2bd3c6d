use super::*;

const VMCB: u64 = 0x5000;

/// Nested state with these flags and this format, of a guest whose VMCB is at this address.
fn nested(flags: u16, format: u16, vmcb: u64) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes[..2].copy_from_slice(&flags.to_le_bytes());
    bytes[2..4].copy_from_slice(&format.to_le_bytes());
    bytes[8..16].copy_from_slice(&vmcb.to_le_bytes());
    bytes
}

#[test]
fn a_nested_guest_that_runs_has_a_dr7_of_its_own() {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
    memory.write_obj(0xffff_0000_0000_0405_u64, GuestAddress(VMCB + 0x560)).unwrap();
    assert_eq!(dr7(&nested(0x101, 1, VMCB), &memory), Some(0x405), "with no bits that KVM would refuse");
    assert_eq!(dr7(&nested(0x100, 1, VMCB), &memory), None, "its hypervisor runs");
    assert_eq!(dr7(&nested(1, 0, VMCB), &memory), None, "VMX");
    assert_eq!(dr7(&[], &memory), None);
}

#[test]
fn a_vmcb_may_be_anywhere() {
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
    for vmcb in [1 << 20, (1 << 20) - 0x560, u64::MAX] {
        assert_eq!(dr7(&nested(1, 1, vmcb), &memory), None);
    }
}
