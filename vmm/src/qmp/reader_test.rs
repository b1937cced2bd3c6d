use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;

const LONGEST: usize = 1 << 10;

/// Reads all of `bytes` in pieces of `sizes`, which are repeated.
fn read(bytes: &[u8], sizes: &[usize]) -> Vec<Result<Value, Fault>> {
    let mut reader = Reader::new(LONGEST);
    let (mut rest, mut sizes, mut texts) = (bytes, sizes.iter().cycle(), Vec::new());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = after;
        reader.push(piece);
        while let Some(next) = reader.next() {
            let ends = next.as_ref().is_err_and(|fault| !fault.can_go_on());
            texts.push(next);
            if ends {
                return texts;
            }
        }
        assert!(reader.bytes.len() <= LONGEST, "{} bytes are kept", reader.bytes.len());
    }
    texts
}

/// The texts that were valid, and the number of those that were not.
fn good(texts: Vec<Result<Value, Fault>>) -> (Vec<Value>, usize) {
    let (good, bad): (Vec<_>, Vec<_>) = texts.into_iter().partition(Result::is_ok);
    (good.into_iter().map(Result::unwrap).collect(), bad.len())
}

#[test]
fn texts_need_nothing_between_them() {
    let text = b"{\"a\": [1, \"}\\\"\"]}{}\r\n\t [] \"x\" 12 true{ \n }null\n";
    let expected = vec![
        json!({"a": [1, "}\""]}),
        json!({}),
        json!([]),
        json!("x"),
        json!(12),
        json!(true),
        json!({}),
        json!(null),
    ];
    assert_eq!(good(read(text, &[1])), (expected.clone(), 0));
    assert_eq!(good(read(text, &[1000])), (expected, 0));
}

#[test]
fn a_text_with_a_fault_is_one_fault_and_the_next_is_read() {
    for bad in [
        "{\"execute\" \"stop\"}",
        "{\"execute\": }",
        "{]",
        "]",
        "}",
        ",",
        "hello",
        "{'execute': 'stop'}",
        "{\"a\": \"\\q\"}",
        "{\"a\": \"\t\"}",
        // Its string is not closed.
        "{\"execute\": \"stop",
        "{\"execute\": \"stop\\",
        // The bytes that a client sends to resynchronize.
        "{\"execute\": [\u{1}",
    ] {
        let text = format!("{bad}\n{{\"execute\": \"cont\"}}\n");
        assert_eq!(good(read(text.as_bytes(), &[1])), (vec![json!({"execute": "cont"})], 1), "{bad}");
    }
    let text = b"{\"execute\": \"st\xffop\xfe{\"execute\": \"cont\"}";
    assert_eq!(good(read(text, &[3])), (vec![json!({"execute": "cont"})], 2));
    assert_eq!(good(read(b"{\"a\": \"\x80\"} 1 ", &[3])), (vec![json!(1)], 1));
}

#[test]
fn a_text_without_end_is_refused_and_nothing_after_it_is_read() {
    let mut long = b"[\"".to_vec();
    long.resize(2 * LONGEST, b'x');
    let last = |texts: Vec<Result<Value, Fault>>| texts.last().unwrap().clone().unwrap_err();
    assert_eq!(last(read(&long, &[7])), Fault::TooLong(LONGEST));
    assert_eq!(last(read(&vec![b'1'; 2 * LONGEST], &[7])), Fault::TooLong(LONGEST));
    let at_most = |depth: u32| vec![b'['; usize::try_from(depth).unwrap()];
    assert_eq!(read(&at_most(DEEPEST), &[7]), []);
    assert_eq!(last(read(&at_most(DEEPEST + 1), &[7])), Fault::TooDeep);
    // White space is not a text.
    assert_eq!(read(&vec![b' '; 2 * LONGEST], &[7]), []);
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert_eq!(good(read(deep.as_bytes(), &[1])).0.len(), 1);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((".{0,4}", inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn texts_are_read_however_they_are_cut(
        values in vec((value(), any::<bool>(), "[ \t\r\n]{1,3}"), 0..8),
        sizes in vec(1_usize..64, 1..8),
    ) {
        let mut text = String::new();
        for (value, pretty, space) in &values {
            let value = if *pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
            text += &value.unwrap();
            text += space;
        }
        prop_assume!(text.len() < LONGEST);
        let expected: Vec<_> = values.into_iter().map(|(value, ..)| value).collect();
        prop_assert_eq!(good(read(text.as_bytes(), &sizes)), (expected, 0));
    }

    #[test]
    fn a_client_can_resynchronize_after_any_bytes(
        noise in vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\ \n1e".to_vec())], 0..200),
        sizes in vec(1_usize..64, 1..8),
    ) {
        let text = [&noise[..], b"\xff{\"execute\": \"stop\"}"].concat();
        let texts = read(&text, &sizes);
        let last = texts.last().unwrap();
        // Nested lists end the connection.
        prop_assert!(*last == Ok(json!({"execute": "stop"})) || *last == Err(Fault::TooDeep), "{:?}", last);
    }
}
