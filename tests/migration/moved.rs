//! Guests that check their state for changes find none.

use serde_json::json;

use crate::{
    sides::{Side, place},
    support::no_kvm,
};

const VERIFY: &[&str] = &["verify=on"];

#[test]
fn every_register_is_as_it_was() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut side = Side::source(folder.path(), "0", "snapshot", &[]);
    side.prints("ready\n");
    for number in 1..4 {
        assert_eq!(side.ask(), "same");
        let name = number.to_string();
        let next = Side::destination(folder.path(), &name, &[]);
        side.moves(&place(folder.path(), &name), VERIFY);
        side = next;
    }
    assert_eq!(side.ask(), "same");
    side.quit();
}

/// The devices also write to memory, which nvmm must track itself. All of memory is compared.
#[test]
fn memory_that_is_written_all_the_time_arrives() {
    if no_kvm() {
        return;
    }
    let options = ["--fw-cfg", "name=opt/a,string=b", "--smp", "2", "--balloon"];
    let folder = tempfile::tempdir().unwrap();
    for letter in ["d", "m"] {
        let mut side = Side::source(
            folder.path(),
            &format!("{letter}0"),
            "moving",
            &[&options[..], &["--cmdline", letter]].concat(),
        );
        side.prints("ready\n");
        for number in 1..6 {
            assert_eq!(side.ask(), "same");
            let name = format!("{letter}{number}");
            let next = Side::destination(folder.path(), &name, &[]);
            // Each round is long enough for the guest to write all of its memory.
            side.moves(&place(folder.path(), &name), &["verify=on", "downtime-limit=0"]);
            side = next;
        }
        assert_eq!(side.ask(), "same");
        side.quit();
    }
}

#[test]
fn tcp_moves_it_as_well() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut source = Side::source(folder.path(), "a", "snapshot", &[]);
    source.prints("ready\n");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = format!("tcp:127.0.0.1:{port}");
    let mut command = crate::support::nvmm();
    command.args(["--incoming", &place]).current_dir(folder.path());
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let nvmm = crate::support::Running::start(&mut command);
    let mut destination = Side { nvmm, socket: folder.path().join("none") };
    assert!(crate::support::in_time(|| source.migrate(&place, VERIFY).status.success()));
    assert_eq!(source.nvmm.status_in_time(), Some(0));
    assert_eq!(destination.ask(), "same");
    destination.quit();
}

#[test]
fn a_stopped_machine_stays_stopped() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut source = Side::source(folder.path(), "a", "snapshot", &[]);
    source.prints("ready\n");
    source.client().call("stop", &json!({})).unwrap();
    let mut destination = Side::destination(folder.path(), "b", &[]);
    source.moves(&place(folder.path(), "b"), VERIFY);
    let mut client = destination.client();
    let status = client.call("query-status", &json!({})).unwrap();
    assert_eq!((&status["running"], &status["status"]), (&json!(false), &json!("prelaunch")));
    client.call("cont", &json!({})).unwrap();
    assert_eq!(destination.ask(), "same");
    destination.quit();
}

#[test]
fn a_restored_machine_moves_and_a_moved_one_is_saved() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut source = Side::source(folder.path(), "a", "snapshot", &[]);
    source.prints("ready\n");
    let mut destination = Side::destination(folder.path(), "b", &[]);
    source.moves(&place(folder.path(), "b"), VERIFY);
    let saved = folder.path().join("saved");
    let output = crate::control::ctl(&destination.socket, &["snapshot", saved.to_str().unwrap(), "--stop"]);
    assert!({ output }.status().unwrap().success());
    assert_eq!(destination.nvmm.status_in_time(), Some(0));
    for way in ["copy", "map"] {
        let mut command = crate::support::nvmm();
        let socket = folder.path().join(format!("restored-{way}.qmp"));
        command.arg("--restore").arg(&saved).args(["--restore-memory", way, "--qmp"]).arg(&socket);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let nvmm = crate::support::Running::start(command.current_dir(folder.path()));
        let mut restored = Side { nvmm, socket };
        assert_eq!(restored.ask(), "same");
        let mut last = Side::destination(folder.path(), way, &[]);
        restored.moves(&place(folder.path(), way), VERIFY);
        assert_eq!(last.ask(), "same");
        last.quit();
    }
}
