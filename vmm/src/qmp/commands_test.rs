use std::{collections::BTreeSet, sync::Arc};

use arch::cpu::topology::Topology;
use serde_json::Map;

use super::{
    super::{
        command::Next,
        schema_check::{check, find},
        todo::{Facts, Known},
    },
    *,
};
use crate::{host::OpenKvm, run_state::RunState};

fn known(state: RunState) -> Known {
    Known {
        state,
        progress: Arc::default(),
        facts: Facts {
            name: None,
            uuid: None,
            kvm: OpenKvm::new("/dev/kvm".as_ref()),
            topology: Topology::flat(2).unwrap(),
        },
    }
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
fn every_command_is_listed_with_its_description() {
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
    let error = Command::find("drive-mirror").unwrap_err();
    assert_eq!(error, Error::CommandNotFound("The command drive-mirror has not been found".to_owned()));
}

#[test]
fn every_command_refuses_arguments_that_it_does_not_take() {
    for command in TABLE {
        let mut given: Map<_, _> = command
            .arguments
            .iter()
            .filter(|argument| !argument.optional)
            .map(|argument| {
                let value = match argument.of {
                    Type::String => json!("x"),
                    Type::Enum(values) => json!(values[0]),
                    Type::Uint64 | Type::Address => json!(1),
                    Type::Boolean => json!(true),
                    Type::Any | Type::Object(_) => json!({}),
                    Type::Array(_) => json!([]),
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
fn facts_of_the_main_thread_are_answered_at_once() {
    let status = |state| value(Command::find("query-status").unwrap().run(Map::new(), &known(state)));
    assert_eq!(status(RunState::Running), json!({"running": true, "status": "running"}));
    assert_eq!(status(RunState::Paused), json!({"running": false, "status": "paused"}));
    assert_eq!(status(RunState::Prelaunch), json!({"running": false, "status": "prelaunch"}));
    let none = json!({"UUID": "00000000-0000-0000-0000-000000000000"});
    assert_eq!(value(run("query-uuid", json!({}))), none);
    assert_eq!(value(run("query-kvm", json!({}))), json!({"enabled": true, "present": true}));
    assert_eq!(value(run("query-name", json!({}))), json!({}));
    let mut named = known(RunState::Running);
    named.facts.name = Some("vm1".to_owned());
    let answer = Command::find("query-name").unwrap().run(Map::new(), &named);
    assert_eq!(value(answer), json!({"name": "vm1"}));
    let moving = known(RunState::FinishMigrate);
    let progress = || value(Command::find("query-migrate").unwrap().run(Map::new(), &moving));
    assert_eq!(progress(), json!({}));
    moving.progress.begin(1 << 20);
    assert_eq!((&progress()["status"], &progress()["ram"]["remaining"]), (&json!("setup"), &json!(1 << 20)));
}

#[test]
fn no_capability_can_be_enabled() {
    assert_eq!(value(run(CAPABILITIES, json!({"enable": []}))), json!({}));
    let refusal = run(CAPABILITIES, json!({"enable": ["oob"]})).unwrap_err();
    assert_eq!(refusal.0, "Capability oob not available");
}

#[test]
fn the_schema_has_every_command_and_every_type_that_it_names() {
    let schema = value(run("query-qmp-schema", json!({})));
    let names = |infos: &mut dyn Iterator<Item = &Value>| -> Vec<String> {
        infos.map(|info| info["name"].as_str().unwrap().to_owned()).collect()
    };
    let infos = schema.as_array().unwrap();
    let known: BTreeSet<_> = names(&mut infos.iter()).into_iter().collect();
    assert_eq!(known.len(), infos.len(), "no name is there twice");
    let commands = names(&mut infos.iter().filter(|info| info["meta-type"] == "command"));
    let listed = value(run("query-commands", json!({})));
    let listed: BTreeSet<_> = names(&mut listed.as_array().unwrap().iter()).into_iter().collect();
    assert_eq!(commands.into_iter().collect::<BTreeSet<_>>(), listed);
    for info in infos {
        let members = info["members"].as_array().into_iter().flatten().map(|member| &member["type"]);
        let types = ["arg-type", "ret-type", "element-type"].map(|key| &info[key]);
        for named in members.chain(types).filter_map(Value::as_str) {
            assert!(known.contains(named), "{named} of {info}");
        }
    }
    for command in TABLE {
        let info = infos.iter().find(|info| info["name"] == command.name).unwrap();
        let arguments = infos.iter().find(|of| of["name"] == info["arg-type"]).unwrap()["members"].clone();
        let told: Vec<_> = arguments
            .as_array()
            .unwrap()
            .iter()
            .map(|member| (member["name"].as_str().unwrap(), member.get("default").is_some()))
            .collect();
        let taken: Vec<_> =
            command.arguments.iter().map(|argument| (argument.name, argument.optional)).collect();
        assert_eq!(told, taken, "{}", command.name);
    }
}

#[test]
fn answers_match_the_schema() {
    let schema = value(run("query-qmp-schema", json!({})));
    for command in TABLE {
        // The answers of others are checked with a machine.
        let Ok(Todo::Answer(answer)) = command.run(Map::new(), &known(RunState::Running)) else { continue };
        let returned = &find(&schema, command.name).unwrap()["ret-type"];
        check(&schema, returned, &answer).unwrap_or_else(|why| panic!("{}: {why}", command.name));
    }
    let status = &find(&schema, "query-status").unwrap()["ret-type"];
    for state in [
        RunState::Prelaunch,
        RunState::Running,
        RunState::Paused,
        RunState::Debug,
        RunState::GuestPanicked,
        RunState::Shutdown,
    ] {
        check(&schema, status, &message::status(state)).unwrap();
    }
}
