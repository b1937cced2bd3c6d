use proptest::prelude::*;

use super::*;

#[test]
fn commas_and_other_bytes() {
    let separators = |given: &[u8]| encode(OsStr::from_bytes(given)).matches(',').count();
    assert_eq!(separators(b"a,b"), 1);
    assert_eq!(separators(b"a,,b"), 0);
    assert_eq!(separators(b"a,,,b"), 1);
    assert_eq!(separators(b"b\xe4se,\xff"), 1);
    assert_eq!(decode(&encode(OsStr::from_bytes(b"a,,b\xe4"))), OsStr::from_bytes(b"a,b\xe4"));
    // The characters that stand for bytes can also occur in a name.
    for c in ['\u{10ff00}', '\u{10ff2c}', '\u{10ffff}', '\u{10feff}'] {
        assert_eq!(decode(&encode(OsStr::new(&c.to_string()))), OsStr::new(&c.to_string()));
    }
}

proptest! {
    #[test]
    fn names_come_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let given: Vec<u8> = bytes.iter().flat_map(|&byte| vec![byte; if byte == b',' { 2 } else { 1 }]).collect();
        let text = encode(OsStr::from_bytes(&given));
        prop_assert!(!text.contains(','));
        let decoded = decode(&text);
        prop_assert_eq!(decoded.as_bytes(), &bytes[..]);
    }
}

#[test]
fn a_number_has_no_sign() {
    assert_eq!((number("65535"), number("007")), (Some(u16::MAX), Some(7_u16)));
    for text in ["", "+3", "-3", " 3", "3 ", "0x3", "65536", "three"] {
        assert_eq!(number::<u16>(text), None, "{text}");
    }
}
