use std::collections::BTreeSet;

use super::*;

#[test]
fn every_way_to_break_has_an_even_status_and_words_of_its_own() {
    let reasons = [
        (Reason::TripleFault, 4, "triple fault"),
        (Reason::FailEntry(0x8000_0021), 6, "hardware reason 0x80000021: invalid guest state"),
        (Reason::FailEntry(7), 6, "hardware reason 0x7)"),
        (Reason::Internal(1), 8, "could not emulate an instruction"),
        (Reason::Internal(3), 10, "while an event was being delivered"),
        (Reason::Unexpected(99), 10, "exit reason 99"),
    ];
    let mut texts = BTreeSet::new();
    for (reason, status, words) in reasons {
        assert_eq!(reason.status(), status);
        assert!(status.is_multiple_of(2), "odd ones are a debug exit's");
        let text = reason.to_string();
        assert!(text.contains(words), "{text}");
        texts.insert(text);
    }
    assert_eq!(texts.len(), reasons.len());
}

#[test]
fn the_report_has_the_registers_and_the_code() {
    let regs = kvm_regs { rip: 0x10_1234, rsp: 0x8ff0, rflags: 2, ..Default::default() };
    let sregs = kvm_sregs { cr0: 0x8000_0011, cr3: 0x9000, cr4: 0x20, efer: 0x500, ..Default::default() };
    let crash = Crash {
        reason: Reason::TripleFault,
        vcpu: 1,
        registers: Some((regs, sregs)),
        code: vec![0x0f, 0x0b],
    };
    let expected = "the guest met a triple fault (KVM_EXIT_SHUTDOWN)
  vCPU 1   RIP 0x101234   RSP 0x8ff0   RFLAGS 0x2
  CR0 0x80000011   CR2 0x0   CR3 0x9000   CR4 0x20   EFER 0x500
  bytes at RIP: 0f 0b";
    assert_eq!(crash.to_string(), expected);
    let unknown = Crash { registers: None, code: vec![], ..crash };
    assert!(unknown.to_string().ends_with("  vCPU 1\n  bytes at RIP: not mapped"));
}
