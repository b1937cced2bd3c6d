use std::time::SystemTime;

use super::{
    super::{
        message,
        returns::{EVENTS, SCHEMA},
        schema_check::{check, find},
    },
    *,
};
use crate::run_state::{Cause, Change, PanicAction, RunState};

const ONE: Type = Type::Object(&[
    Member::new("a", Type::String),
    Member::optional("b", Type::Array(&Type::Enum(&["x", "y"]))),
]);

#[test]
fn a_repeated_type_is_described_once() {
    let mut schema = Schema::default();
    schema.command("one", [Member::optional("size", Type::Uint64)].into_iter(), ONE);
    schema.command("two", [].into_iter(), Type::Array(&ONE));
    schema.event("ONE", ONE);
    schema.event("NONE", Type::NOTHING);
    let schema = schema.list();
    let info = |name: &Value| find(&schema, name.as_str().unwrap()).unwrap();
    let [one, two] = ["one", "two"].map(|name| find(&schema, name).unwrap());
    assert_eq!(find(&schema, "ONE").unwrap()["arg-type"], one["ret-type"]);
    assert_eq!(info(&two["ret-type"])["element-type"], one["ret-type"]);
    assert_eq!(find(&schema, "NONE").unwrap()["arg-type"], two["arg-type"]);
    let size = json!({"name": "size", "type": "int", "default": null});
    assert_eq!(info(&one["arg-type"])["members"], json!([size]));
    let members = &info(&one["ret-type"])["members"];
    assert_eq!(members[0], json!({"name": "a", "type": "str"}));
    let list = info(&members[1]["type"]);
    assert_eq!(list["name"], json!(format!("[{}]", list["element-type"].as_str().unwrap())));
    let letters = info(&list["element-type"]);
    assert_eq!(letters["values"], json!(["x", "y"]));
    assert_eq!(letters["members"], json!([{"name": "x"}, {"name": "y"}]));
    // The schema also describes its own type.
    let mut of_schemas = Schema::default();
    of_schemas.command("query", [].into_iter(), SCHEMA);
    let of_schemas = of_schemas.list();
    let returned = &find(&of_schemas, "query").unwrap()["ret-type"];
    for schema in [&schema, &of_schemas] {
        check(&of_schemas, returned, schema).unwrap();
    }
    assert!(check(&of_schemas, returned, &json!([{"name": "x", "meta-type": "y"}])).is_err());
}

#[test]
fn events_match_the_schema() {
    let mut schema = Schema::default();
    EVENTS.iter().for_each(|&(name, data)| schema.event(name, data));
    let schema = schema.list();
    let causes = [
        Cause::HostError,
        Cause::HostQmpQuit,
        Cause::HostQmpSystemReset,
        Cause::HostSignal,
        Cause::HostUi,
        Cause::GuestShutdown,
        Cause::GuestReset,
        Cause::GuestPanic,
    ];
    let actions = [PanicAction::Pause, PanicAction::Poweroff, PanicAction::Run];
    let changes = [Change::Stop(RunState::Paused), Change::Resume, Change::PowerDown]
        .into_iter()
        .chain(causes.map(|by| Change::Reset { by }))
        .chain(causes.map(|by| Change::Shutdown { by }))
        .chain(actions.map(|action| Change::Panicked { action }));
    for change in changes {
        let told: Value = serde_json::from_str(&message::event(&change, SystemTime::UNIX_EPOCH)).unwrap();
        let event = find(&schema, told["event"].as_str().unwrap()).unwrap();
        assert_eq!(event["meta-type"], json!("event"));
        let data = told.get("data").cloned().unwrap_or_else(|| json!({}));
        check(&schema, &event["arg-type"], &data).unwrap();
    }
}
