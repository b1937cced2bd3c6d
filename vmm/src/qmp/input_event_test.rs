use serde_json::{Value, json};

use super::*;

fn parsed(given: &Value) -> Result<InputEvents, String> {
    let arguments = Arguments::check(given.as_object().unwrap().clone(), ARGUMENTS);
    arguments.and_then(|mut arguments| input_events(&mut arguments)).map_err(|refusal| refusal.0)
}

#[test]
fn events_are_qemus() {
    let events = json!([
        {"type": "key", "data": {"down": true, "key": {"type": "qcode", "data": "a"}}},
        {"type": "btn", "data": {"down": true, "button": "wheel-up"}},
        {"type": "abs", "data": {"axis": "y", "value": 32767}},
    ]);
    assert!(parsed(&json!({"events": events})).is_ok());
    assert!(parsed(&json!({"events": [], "device": "video0", "head": 0})).is_ok());
}

#[test]
fn others_are_refused_with_the_reason() {
    for (event, why) in [
        (
            json!({"type": "rel", "data": {"axis": "x", "value": 1}}),
            "the pointer can't go by 1: nvmm has a tablet and no mouse; give",
        ),
        (
            json!({"type": "mtt", "data": {}}),
            "Parameter 'events': unknown variant `mtt`, expected one of `key`",
        ),
        (
            json!({"type": "btn", "data": {"down": true, "button": "side"}}),
            "Parameter 'events': unknown variant `side`",
        ),
        (json!({"type": "btn", "data": {"button": "left"}}), "Parameter 'events': missing field `down`"),
        (
            json!({"type": "abs", "data": {"axis": "z", "value": 1}}),
            "Parameter 'events': unknown variant `z`",
        ),
        (
            json!({"type": "abs", "data": {"axis": "x", "value": 32768}}),
            "the pointer can't be at 32768: give 0 to 32767",
        ),
        (json!({"type": "abs", "data": {"axis": "x", "value": -1}}), "the pointer can't be at -1: "),
        (
            json!({"type": "key", "data": {"down": true, "key": {"type": "qcode", "data": "retu"}}}),
            "unknown key 'retu' (did you mean ret?); ",
        ),
    ] {
        let refused = parsed(&json!({"events": [event]})).unwrap_err();
        assert!(refused.starts_with(why), "{event}: {refused}");
    }
    assert_eq!(parsed(&json!({})), Err("Parameter 'events' is missing".to_owned()));
}
