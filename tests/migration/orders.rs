//! Refused migration requests, and the answers to `query-migrate`.

use serde_json::{Value, json};

use crate::{
    sides::{Side, place},
    support::{no_kvm, nvmm},
};

#[test]
fn events_and_query_migrate_tell_of_it() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut source = Side::source(folder.path(), "a", "moving", &["--cmdline", "m"]);
    source.prints("ready\n");
    let mut client = source.client();
    assert_eq!(client.call("query-migrate", &json!({})), Ok(json!({})));
    let mut destination = Side::destination(folder.path(), "b", &[]);
    source.moves(&place(folder.path(), "b"), &[]);
    let events: Vec<_> =
        std::iter::from_fn(|| Some(client.event()).filter(|event| event.0 != "SHUTDOWN")).collect();
    let told = [
        ("MIGRATION".to_owned(), json!({"status": "setup"})),
        ("STOP".to_owned(), Value::Null),
        ("MIGRATION".to_owned(), json!({"status": "completed"})),
    ];
    assert_eq!(events, told);
    assert_eq!(destination.ask(), "same");
    destination.quit();
}

#[test]
fn machines_that_cant_be_moved_are_refused_and_go_on() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut source = Side::source(folder.path(), "a", "snapshot", &[]);
    source.prints("ready\n");
    let said = source.refuses(&place(folder.path(), "b"), &[]);
    assert!(said.contains("nobody waits for a machine there"), "{said}");
    let said = source.refuses("somewhere", &[]);
    assert!(said.contains("give tcp:HOST:PORT"), "{said}");
    let said = source.refuses("unix:x", &["fast=on"]);
    assert!(said.contains("'fast=on' means nothing"), "{said}");
    let mut client = source.client();
    let said = client.call("migrate", &json!({"uri": "tcp:1.2.3.4:5"})).unwrap_err();
    assert!(said.contains("nvmm connects nowhere by itself"), "{said}");
    let said = client.call("migrate", &json!({"uri": "fd:none"})).unwrap_err();
    assert_eq!(said, "File descriptor named 'none' not found");
    let said = client.call("getfd", &json!({"fdname": "none"})).unwrap_err();
    assert_eq!(said, "No file descriptor supplied via SCM_RIGHTS");
    assert_eq!(source.ask(), "same");
    // The destination doesn't support these.
    for (options, why) in
        [(&["--memory", "1G"][..], "--memory=1G"), (&["--disk", "id=none,path=x"], "the guest has no 'none'")]
    {
        let mut destination = Side::destination(folder.path(), "b", options);
        let said = source.refuses(&place(folder.path(), "b"), &[]);
        assert_ne!(destination.nvmm.status_in_time(), Some(0));
        let why = if why.starts_with("--memory") { "leave it out" } else { why };
        assert!(said.contains("the other side refuses") && said.contains(why), "{said}");
        assert_eq!(source.ask(), "same");
    }
    let info = client.call("query-migrate", &json!({})).unwrap();
    assert_eq!(info["status"], "failed");
    source.quit();
}

#[test]
fn incoming_goes_with_no_machine_of_its_own() {
    for (options, why) in [
        (&["--incoming", "x"][..], "give tcp:HOST:PORT"),
        (&["--incoming", "unix:x", "--restore", "y"], "can't be given with"),
        (&["--incoming", "unix:x", "--dry-run"], "can't be given with"),
    ] {
        let output = nvmm().args(options).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
}
