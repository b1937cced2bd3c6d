use serde_json::json;

use super::*;

fn key(name: &str) -> Result<Key, KeyError> {
    KeyValue::Qcode(name.to_owned()).key()
}

#[test]
fn names_are_in_order_and_there_once() {
    assert!(NAMES.is_sorted_by(|(one, _), (other, _)| one < other));
    for (name, number) in NAMES {
        assert_eq!(key(name), Ok(Key(number)));
    }
}

#[test]
fn well_known_keys_have_qemus_numbers() {
    for (name, number) in [
        ("esc", 1),
        ("a", 0x1e),
        ("0", 0xb),
        ("ret", 0x1c),
        ("spc", 0x39),
        ("ctrl", 0x1d),
        ("ctrl_r", 0x9d),
        ("f12", 0x58),
        ("up", 0xc8),
        ("delete", 0xd3),
        ("kp_enter", 0x9c),
        ("sysrq", 0x54),
        ("pause", 0xc6),
        ("meta_l", 0xdb),
    ] {
        assert_eq!(key(name), Ok(Key(number)), "{name}");
    }
}

#[test]
fn an_unknown_name_is_refused_with_those_that_are_like_it() {
    let message = |name: &str| key(name).unwrap_err().to_string();
    assert!(
        message("delet").starts_with("unknown key 'delet' (did you mean delete?); keys have QEMU's names")
    );
    assert!(message("shiftr").contains("did you mean shift_r"), "{}", message("shiftr"));
    assert!(message("F1").contains("did you mean f1"), "{}", message("F1"));
    assert!(message("\u{1b}").starts_with("unknown key '\\u{1b}'; "));
    assert!(message("").starts_with("unknown key ''; "));
}

#[test]
fn numbers_are_codes_of_set_1() {
    for (number, expected) in [(1, Some(1)), (0x7f, Some(0x7f)), (0xff, Some(0xff))] {
        assert_eq!(KeyValue::Number(number).key().ok(), expected.map(Key));
    }
    for number in [0, 0x80, 0x100, u64::MAX] {
        assert_eq!(KeyValue::Number(number).key(), Err(KeyError::Number(number)));
    }
}

#[test]
fn lines_are_those_of_qemus_monitor() {
    let qcode = |name: &str| KeyValue::Qcode(name.to_owned());
    assert_eq!(KeyValue::of_line("ctrl-alt-f1"), ["ctrl", "alt", "f1"].map(qcode));
    assert_eq!(KeyValue::of_line("1-<-0x1e"), [qcode("1"), qcode("less"), KeyValue::Number(0x1e)]);
    assert_eq!(KeyValue::of_line("0xq-"), [qcode("0xq"), qcode("")]);
}

#[test]
fn json_is_qemus() {
    let read = |value| serde_json::from_value::<KeyValue>(value).ok();
    assert_eq!(read(json!({"type": "qcode", "data": "a"})), Some(KeyValue::Qcode("a".to_owned())));
    assert_eq!(read(json!({"type": "number", "data": 30})), Some(KeyValue::Number(30)));
    for value in [
        json!("a"),
        json!({"type": "qcode"}),
        json!({"type": "qcode", "data": 1}),
        json!({"type": "x", "data": 1}),
    ] {
        assert_eq!(read(value.clone()), None, "{value}");
    }
    assert_eq!(serde_json::to_value(KeyValue::Number(1)).unwrap(), json!({"type": "number", "data": 1}));
}
