use serde_json::{Value, json};

use super::*;

fn parsed(given: &Value) -> Result<SendKey, String> {
    let arguments = Arguments::check(given.as_object().unwrap().clone(), ARGUMENTS);
    arguments.and_then(|mut arguments| send_key(&mut arguments)).map_err(|refusal| refusal.0)
}

#[test]
fn keys_have_names_or_numbers() {
    let given =
        json!({"keys": [{"type": "qcode", "data": "ctrl"}, {"type": "number", "data": 30}], "hold-time": 5});
    assert_eq!(parsed(&given), Ok(SendKey::new(&KeyValue::of_line("ctrl-a"), Some(5)).unwrap()));
}

#[test]
fn other_arguments_are_refused_with_the_reason() {
    for (given, why) in [
        (json!({}), "Parameter 'keys' is missing"),
        (json!({"keys": "a"}), "Invalid parameter type for 'keys', expected: array"),
        (json!({"keys": ["a"]}), "Parameter 'keys': "),
        (json!({"keys": [{"type": "qcode", "data": "retu"}]}), "unknown key 'retu' (did you mean ret?); "),
        (json!({"keys": [{"type": "number", "data": 0}]}), "there is no key 0x0: "),
        (
            json!({"keys": [], "hold-time": 3_600_000}),
            "keys can't be held for 3600000 milliseconds; give 60000",
        ),
    ] {
        let refused = parsed(&given).unwrap_err();
        assert!(refused.starts_with(why), "{given}: {refused}");
    }
}
