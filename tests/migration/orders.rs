//! Refused migration requests, and the answers to `query-migrate`.

use std::{
    io::{self, Write},
    os::unix::net::UnixListener,
    process::Stdio,
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    control::ctl,
    sides::{Side, place},
    support::{Running, in_time, no_kvm, nvmm},
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

/// The destination takes everything, and never gets ready.
#[test]
fn the_progress_is_told_while_the_machine_stands_still() {
    /// `Kind::Welcome` of `vmm::migration`, without content.
    const WELCOME: [u32; 2] = [8, 0];

    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut source = Side::source(folder.path(), "a", "snapshot", &[]);
    source.prints("ready\n");
    let path = folder.path().join("slow");
    let listener = UnixListener::bind(&path).unwrap();
    let place = format!("unix:{}", path.display());
    let mut command = ctl(&source.socket, &["migrate", &place]);
    let mut ctl = Running::start(&mut command);
    let taking = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let welcome = WELCOME.map(u32::to_le_bytes).concat();
        let sum = crc32fast::hash(&welcome).to_le_bytes();
        socket.write_all(&[&welcome[..], &sum].concat()).unwrap();
        io::copy(&mut socket, &mut io::sink()).unwrap()
    });
    let mut client = source.client();
    let mut info = Value::Null;
    let is_told = in_time(|| {
        info = client.call("query-migrate", &json!({})).unwrap();
        info["status"] == "device" && info["ram"]["remaining"] == 0
    });
    assert!(is_told, "{info}");
    assert_eq!(client.call("query-status", &json!({})).unwrap()["status"], "finish-migrate");
    assert_eq!(client.call("query-migrate", &json!({})).unwrap()["status"], "device");
    client.call("migrate_cancel", &json!({})).unwrap();
    assert_eq!(ctl.status(), Some(1));
    assert!(taking.join().unwrap() > 0);
    assert_eq!(client.call("query-migrate", &json!({})).unwrap()["status"], "cancelled");
    assert_eq!(client.call("query-status", &json!({})).unwrap()["status"], "running");
    assert_eq!(source.ask(), "same");
    source.quit();
}

/// The other side accepts the connection, and says nothing more.
#[test]
fn a_machine_that_is_told_to_end_meanwhile_is_saved() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silent");
    let _listener = UnixListener::bind(&path).unwrap();
    let place = format!("unix:{}", path.display());
    for (name, signal) in [("term", Some(Signal::TERM)), ("int", Some(Signal::INT)), ("quit", None)] {
        let mut source = Side::source(folder.path(), name, "snapshot", &["--snapshot-on-exit", name]);
        source.prints("ready\n");
        let mut ctl = Running::start(ctl(&source.socket, &["migrate", &place]).stderr(Stdio::piped()));
        let mut client = source.client();
        assert!(in_time(|| client.call("query-migrate", &json!({})).unwrap()["status"] == "setup"));
        match signal {
            Some(signal) => kill_process(Pid::from_child(&source.nvmm.0), signal).unwrap(),
            None => drop(client.call("quit", &json!({}))),
        }
        assert_eq!(source.nvmm.status_in_time(), Some(0), "{name}");
        assert_eq!(ctl.status_in_time(), Some(1), "{name}");
        let mut command = nvmm();
        command.arg("--restore").arg(folder.path().join(name));
        let mut again = Side::start(folder.path(), "again", command, &[]);
        assert_eq!(again.ask(), "same", "{name}");
        again.quit();
    }
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
