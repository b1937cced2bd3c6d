use serde::Serialize;
use serde_json::json;

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Two {
    #[serde(with = "super")]
    array: [u8; 3],
    #[serde(with = "super")]
    list: Vec<u8>,
}

#[test]
fn bytes_are_pairs_of_digits() {
    let two = Two { array: [0, 0x7f, 0xff], list: vec![] };
    let text = json!({ "array": "007fff", "list": "" });
    assert_eq!(serde_json::to_value(&two).unwrap(), text);
    assert_eq!(serde_json::from_value::<Two>(text).unwrap(), two);
}

#[test]
fn other_text_is_refused() {
    let not_pairs = "bytes are pairs of hexadecimal digits";
    for (array, expected) in [
        ("0", not_pairs),
        ("00112", not_pairs),
        ("00112g", not_pairs),
        ("0011-2", not_pairs),
        ("0011ä", not_pairs),
        ("", "0 bytes, which is not the right number"),
        ("00112233", "4 bytes, which is not the right number"),
    ] {
        let error = serde_json::from_value::<Two>(json!({ "array": array, "list": "" })).unwrap_err();
        assert_eq!(error.to_string(), expected, "{array}");
    }
}
