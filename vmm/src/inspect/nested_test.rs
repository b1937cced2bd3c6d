use kvm_bindings::{kvm_svm_nested_state_hdr, kvm_vmx_nested_state_hdr};
use serde_json::json;

use super::*;

/// VMXON's address is in the header, which is the only part outside of a nested guest.
#[test]
fn a_header_alone_shows_vmx_operation() {
    let mut state = KvmNestedStateBuffer::empty();
    state.hdr.vmx = kvm_vmx_nested_state_hdr { vmxon_pa: 0x1000, vmcs12_pa: u64::MAX, ..Default::default() };
    let nested = Nested::of(&state);
    let expected = json!({
        "format": "vmx", "guest-mode": false, "run-pending": false, "vmxon": "0x1000", "vmcs": null,
    });
    assert_eq!(serde_json::to_value(nested).unwrap(), expected);
}

#[test]
fn a_running_nested_guest_is_recognized() {
    let mut state = KvmNestedStateBuffer::empty();
    state.flags = 0x101;
    state.format = 1;
    state.hdr.svm = kvm_svm_nested_state_hdr { vmcb_pa: 0x2000 };
    let nested = Nested::of(&state);
    assert!(nested.guest_mode);
    let expected = json!({
        "format": "svm", "guest-mode": true, "run-pending": false, "vmcb": "0x2000", "gif": true,
    });
    assert_eq!(serde_json::to_value(nested).unwrap(), expected);
    state.format = 7;
    assert_eq!(serde_json::to_value(Nested::of(&state)).unwrap()["format"], "unknown");
}
