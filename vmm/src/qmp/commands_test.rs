use std::collections::BTreeSet;

use super::*;

fn known(state: RunState) -> Known {
    Known { state, facts: Facts { uuid: None, kvm: "/dev/kvm".into(), topology: Topology::flat(2).unwrap() } }
}

fn run(name: &str, given: Value) -> Next {
    let Value::Object(given) = given else { panic!("{given}") };
    Command::find(name).unwrap().run(given, &known(RunState::Running))
}

fn value(next: Next) -> Value {
    let Ok(Todo::Answer(value)) = next else { panic!("{next:?}") };
    value
}

#[test]
fn every_command_is_listed_and_says_what_it_does() {
    let list = value(run("query-commands", json!({})));
    let names: BTreeSet<_> = list.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), TABLE.len(), "each has a name of its own");
    for command in list.as_array().unwrap() {
        let arguments = command["arguments"].as_array().unwrap().iter();
        for help in arguments.map(|it| &it["help"]).chain([&command["help"]]) {
            let help = help.as_str().unwrap();
            assert!(!help.is_empty() && !help.ends_with('.'), "{command}");
        }
    }
}

#[test]
fn a_command_that_is_not_there_is_refused_in_qemus_words() {
    let error = Command::find("eject").unwrap_err();
    assert_eq!(error, Error::CommandNotFound("The command eject has not been found".to_owned()));
}

#[test]
fn every_command_refuses_arguments_that_it_does_not_take() {
    for command in TABLE {
        let mut given: Map<_, _> = command
            .arguments
            .iter()
            .filter(|argument| !argument.optional)
            .map(|argument| {
                let value = match argument.kind {
                    Kind::String => json!("x"),
                    Kind::Enum(values) => json!(values[0]),
                    Kind::Uint64 | Kind::Address => json!(1),
                    Kind::Boolean => json!(true),
                    Kind::Object => json!({}),
                    Kind::Array => json!([]),
                };
                (argument.name.to_owned(), value)
            })
            .collect();
        given.insert("nonsense".to_owned(), json!(1));
        let refusal = command.run(given, &known(RunState::Running)).unwrap_err();
        assert_eq!(refusal.0, "Parameter 'nonsense' is unexpected", "{}", command.name);
    }
}

#[test]
fn what_the_main_thread_knows_is_answered_at_once() {
    let status = |state| value(Command::find("query-status").unwrap().run(Map::new(), &known(state)));
    assert_eq!(status(RunState::Running), json!({"running": true, "status": "running"}));
    assert_eq!(status(RunState::Paused), json!({"running": false, "status": "paused"}));
    assert_eq!(status(RunState::Prelaunch), json!({"running": false, "status": "prelaunch"}));
    let none = json!({"UUID": "00000000-0000-0000-0000-000000000000"});
    assert_eq!(value(run("query-uuid", json!({}))), none);
    assert_eq!(value(run("query-kvm", json!({}))), json!({"enabled": true, "present": true}));
    assert_eq!(value(run("query-name", json!({}))), json!({}));
}

#[test]
fn no_capability_can_be_enabled() {
    assert_eq!(value(run(CAPABILITIES, json!({"enable": []}))), json!({}));
    let refusal = run(CAPABILITIES, json!({"enable": ["oob"]})).unwrap_err();
    assert_eq!(refusal.0, "Capability oob not available");
}
