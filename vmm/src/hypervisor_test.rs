use std::cell::Cell;

use super::*;

/// The result of a block's first leaf.
fn block(last: u32, name: &str) -> Registers {
    let mut bytes = [0; 12];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    Registers { eax: last, ebx: word(0), ecx: word(4), edx: word(8) }
}

/// An AMD CPU returns zeros for unused leaves.
fn zeros() -> Registers {
    Registers { eax: 0, ebx: 0, ecx: 0, edx: 0 }
}

fn found(cpuid: impl Fn(u32) -> Registers) -> Vec<String> {
    scan(BLOCKS, cpuid).collect()
}

#[test]
fn a_signature_behind_hyper_v_s_is_found() {
    let enlightened = |leaf| match leaf {
        0x4000_0000 => block(0x4000_0082, HYPER_V),
        0x4000_0100 => block(0x4000_0101, KVM),
        _ => zeros(),
    };
    assert_eq!(found(enlightened), [HYPER_V, KVM]);
    let far = |leaf| match leaf {
        0x4000_0000 => block(0x4000_0006, HYPER_V),
        0x4000_ff00 => block(0x4000_ff02, "XenVMMXenVMM"),
        _ => zeros(),
    };
    assert_eq!(found(far), [HYPER_V, "XenVMMXenVMM"]);
}

#[test]
fn blocks_without_a_hypervisor_have_no_signature() {
    // An Intel CPU answers with its last basic leaf: here 16H, three frequencies.
    let intel = |leaf| match leaf {
        0x4000_0000 => block(0x4000_0001, KVM),
        _ => Registers { eax: 2700, ebx: 3500, ecx: 100, edx: 0 },
    };
    assert_eq!(found(intel), [KVM]);
    assert_eq!(found(|_| block(0x15, "genuineleaf!")), Vec::<String>::new());
    assert_eq!(found(|leaf| block(leaf, "\x1b[2J")), Vec::<String>::new());
    assert_eq!(scan(0, |leaf| block(leaf, KVM)).count(), 0);
}

#[test]
fn a_signature_counts_once_and_old_kvm_reports_no_last_leaf() {
    assert_eq!(found(|leaf| block(leaf, "VMwareVMware")), ["VMwareVMware"]);
    assert_eq!(found(|leaf| if leaf == 0x4000_0000 { block(0, KVM) } else { zeros() }), [KVM]);
}

#[test]
fn no_more_leaves_are_asked_than_are_wanted() {
    let asked = Cell::new(0);
    let cpuid = |leaf| {
        asked.set(asked.get() + 1);
        block(leaf, KVM)
    };
    assert_eq!(scan(BLOCKS, cpuid).next().as_deref(), Some(KVM));
    assert_eq!(asked.get(), 1);
}
