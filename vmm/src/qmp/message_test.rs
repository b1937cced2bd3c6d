use super::*;
use crate::run_state::{Cause, PanicAction};

fn parsed(line: &str) -> Value {
    serde_json::from_str(line.strip_suffix("\r\n").unwrap()).unwrap()
}

#[test]
fn calls_are_as_qemu_has_them() {
    let call = Call::of(json!({"execute": "stop", "id": [1, {"a": null}]})).unwrap();
    assert_eq!((call.command.as_str(), call.arguments.len()), ("stop", 0));
    assert_eq!(call.id, Some(json!([1, {"a": null}])));
    let call = Call::of(json!({"execute": "x", "arguments": {"a": 1}})).unwrap();
    assert_eq!((call.id, call.arguments.get("a")), (None, Some(&json!(1))));
    for (text, why) in [
        (json!([]), "QMP input must be a JSON object"),
        (json!("stop"), "QMP input must be a JSON object"),
        (json!({}), "QMP input lacks member 'execute'"),
        (json!({"execute": 1}), "QMP input member 'execute' must be a string"),
        (json!({"execute": "stop", "arguments": []}), "QMP input member 'arguments' must be an object"),
        (json!({"execute": "stop", "more": 1}), "QMP input member 'more' is unexpected"),
        (json!({"exec-oob": "stop"}), "QMP input member 'exec-oob' is unexpected"),
    ] {
        assert_eq!(Call::of(text.clone()), Err((None, Refusal(why.to_owned()))), "{text}");
    }
    let (id, _) = Call::of(json!({"id": 7})).unwrap_err();
    assert_eq!(id, Some(json!(7)));
}

#[test]
fn answers_have_the_id_of_their_call() {
    assert_eq!(parsed(&answer(None, Ok(json!({})))), json!({"return": {}}));
    assert_eq!(parsed(&answer(Some(json!(null)), Ok(json!(1)))), json!({"return": 1, "id": null}));
    let error = Error::CommandNotFound("The command x has not been found".to_owned());
    assert_eq!(
        parsed(&answer(Some(json!("a")), Err(error))),
        json!({"error": {"class": "CommandNotFound", "desc": "The command x has not been found"}, "id": "a"})
    );
    let refused = Refusal("no".to_owned());
    let expected = json!({"error": {"class": "GenericError", "desc": "no"}});
    assert_eq!(parsed(&answer(None, Err(refused.into()))), expected);
    assert_eq!(parsed(&refusal("no")), expected);
}

#[test]
fn the_greeting_has_the_version_and_no_capability() {
    let greeting = parsed(&greeting());
    assert_eq!(greeting["QMP"]["capabilities"], json!([]));
    let qemu = &greeting["QMP"]["version"]["qemu"];
    let text = format!("nvmm {}.{}.{}", qemu["major"], qemu["minor"], qemu["micro"]);
    assert_eq!(greeting["QMP"]["version"]["package"], json!(text));
}

#[test]
fn events_tell_when_and_why() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_123);
    let timestamp = json!({"seconds": 1_700_000_000, "microseconds": 123});
    let reset = Change::Reset { by: Cause::GuestReset };
    for (change, name, data) in [
        (Change::Stop(RunState::Paused), "STOP", None),
        (Change::Resume, "RESUME", None),
        (Change::PowerDown, "POWERDOWN", None),
        (reset, "RESET", Some(json!({"guest": true, "reason": "guest-reset"}))),
        (
            Change::Shutdown { by: Cause::HostQmpQuit },
            "SHUTDOWN",
            Some(json!({"guest": false, "reason": "host-qmp-quit"})),
        ),
        (
            Change::Panicked { action: PanicAction::Poweroff },
            "GUEST_PANICKED",
            Some(json!({"action": "poweroff"})),
        ),
    ] {
        let mut expected = json!({"timestamp": timestamp, "event": name});
        if let Some(data) = data {
            expected["data"] = data;
        }
        assert_eq!(parsed(&event(&change, at)), expected);
    }
}
