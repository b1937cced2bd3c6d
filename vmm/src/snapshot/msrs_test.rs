use super::*;

#[test]
fn values_come_back_from_their_text() {
    let values = Values(BTreeMap::from([(0x10, u64::MAX), (0xc000_0080, 0xd01)]));
    let text = serde_json::to_string(&values).unwrap();
    assert_eq!(text, r#"{"0x10":"0xffffffffffffffff","0xc0000080":"0xd01"}"#);
    assert_eq!(serde_json::from_str::<Values>(&text).unwrap(), values);
}

#[test]
fn invalid_msr_numbers_are_refused() {
    for text in [r#"{"10":"0x1"}"#, r#"{"0x10":"1"}"#, r#"{"0x10":"0x+1"}"#, r#"{"0x100000000":"0x1"}"#, "[]"]
    {
        assert!(serde_json::from_str::<Values>(text).is_err(), "{text}");
    }
}
