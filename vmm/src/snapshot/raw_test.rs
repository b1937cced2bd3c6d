use kvm_bindings::{kvm_mp_state, kvm_regs};

use super::*;

#[test]
fn structures_and_bytes_come_back() {
    let regs = Raw(kvm_regs { rax: 0x0123_4567_89ab_cdef, rip: u64::MAX, ..Default::default() });
    let text = serde_json::to_string(&regs).unwrap();
    assert!(text.starts_with("\"efcdab8967452301"), "{text}");
    assert_eq!(serde_json::from_str::<Raw<kvm_regs>>(&text).unwrap(), regs);
    let bytes = Bytes(vec![0, 0x7f, 0xff]);
    assert_eq!(serde_json::to_string(&bytes).unwrap(), "\"007fff\"");
    assert_eq!(serde_json::from_str::<Bytes>("\"007fff\"").unwrap(), bytes);
}

#[test]
fn other_texts_are_refused() {
    for text in ["\"0\"", "\"0g\"", "\"+1\"", "\"é\"", "1", "null"] {
        assert!(serde_json::from_str::<Bytes>(text).is_err(), "{text}");
    }
    for text in ["\"\"", "\"000000\"", "\"0000000000\""] {
        assert!(serde_json::from_str::<Raw<kvm_mp_state>>(text).is_err(), "{text}");
    }
}
