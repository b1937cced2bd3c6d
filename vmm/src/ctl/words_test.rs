use serde_json::json;

use super::*;

fn read(words: &[&str]) -> Result<Value, String> {
    let kinds = [
        json!({"name": "device", "type": "string"}),
        json!({"name": "size", "type": "uint64"}),
        json!({"name": "val", "type": "int64"}),
        json!({"name": "paging", "type": "boolean"}),
        json!({"name": "list", "type": "array"}),
    ];
    let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
    arguments(&words, &kinds).map(Value::from).map_err(|error| format!("{error:#}"))
}

#[test]
fn values_are_of_their_kind() {
    let given = ["device=12", "size=0x1000", "paging=off", "list=[1]", "other=7", "more=a=b"];
    let expected =
        json!({"device": "12", "size": 4096, "paging": false, "list": [1], "other": 7, "more": "a=b"});
    assert_eq!(read(&given), Ok(expected));
    assert_eq!(read(&["size=20G"]), Ok(json!({"size": 20_u64 << 30})));
    assert_eq!(read(&["size=512"]), Ok(json!({"size": 512})));
}

#[test]
fn an_address_is_hexadecimal_or_signed() {
    assert_eq!(read(&["val=0xffffffff81000000"]), Ok(json!({"val": 0xffff_ffff_8100_0000_u64})));
    assert_eq!(read(&["val=0x100000"]), Ok(json!({"val": 1 << 20})));
    assert_eq!(read(&["val=1M"]), Ok(json!({"val": 1 << 20})));
    assert_eq!(read(&["val=4096"]), Ok(json!({"val": 4096})));
    assert_eq!(read(&["val=-4096"]), Ok(json!({"val": -4096})));
    for text in ["", "0x", "-0x1000", "1.5", "0x10000000000000000", "start"] {
        let refused = format!("val={text}: give a whole number, or 0x and hexadecimal digits");
        assert_eq!(read(&[&format!("val={text}")]), Err(refused));
    }
}

#[test]
fn invalid_arguments_are_refused_with_a_remedy() {
    for (word, why) in [
        ("device", "device: give KEY=VALUE, or all arguments as one JSON object"),
        ("size=x", "size=x: give a whole number, 0x and hexadecimal digits, or a size such as 20G"),
        ("size=-1", "size=-1: give a whole number, 0x and hexadecimal digits, or a size such as 20G"),
        ("paging=1", "paging=1: give on or off"),
    ] {
        assert_eq!(read(&[word]), Err(why.to_owned()));
    }
    assert!(read(&["list=x"]).unwrap_err().starts_with("list=x: give JSON: "));
    assert_eq!(read(&["a=1", "a=2"]), Err("a=2: 'a' is there twice".to_owned()));
}
