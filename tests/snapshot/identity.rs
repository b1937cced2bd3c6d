//! Clones that can be distinguished.

use std::{collections::BTreeSet, path::Path};

use serde_json::{Value, json};

use crate::{
    control::{Client, Machine},
    saved::{Restored, Saved, WAYS, ask, path, restore},
    support::no_kvm,
};

/// The ID that the guest sees, if it got it in the expected way.
fn id(said: &str, told: &str) -> String {
    let (id, found) = said.rsplit_once(' ').unwrap();
    assert_eq!(found, told, "{said}");
    id.to_owned()
}

#[test]
fn each_restored_machine_is_a_generation_and_one_that_goes_on_is_not() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("generation", &[]);
    machine.prints("ready\n");
    let first = id(&ask(&mut machine.nvmm), "quiet");
    assert_ne!(first, "0 0");
    machine.ask(&["stop"]);
    machine.ask(&["cont"]);
    machine.ask(&["snapshot", path(&machine, "snap").to_str().unwrap()]);
    assert_eq!(id(&ask(&mut machine.nvmm), "quiet"), first);
    let mut all = BTreeSet::from([first]);
    for way in WAYS {
        let options = ["--restore-memory", way];
        let mut again =
            Restored::start(&mut restore(machine.folder.path(), &path(&machine, "snap"), &options));
        let new = id(&again.ask(), "told");
        assert_eq!(id(&again.ask(), "quiet"), new, "it is told once");
        all.insert(new);
        again.quit();
    }
    assert_eq!(all.len(), 1 + WAYS.len(), "{all:?}");
}

/// The UUID of a machine that isn't running yet.
fn uuid(socket: &Path) -> Value {
    Client::begin(socket).call("query-uuid", &json!({})).unwrap()["UUID"].take()
}

#[test]
fn a_fresh_identity_is_the_clones_own_from_then_on() {
    const GIVEN: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    if no_kvm() {
        return;
    }
    let saved = Saved::new(&["--uuid", GIVEN]);
    let folder = saved.folder.path();
    let restored = |from: &str, socket: &str, options: &[&str]| {
        let socket = folder.join(socket);
        let all = [options, &["--qmp", socket.to_str().unwrap()]].concat();
        let mut machine = Restored::start(&mut restore(folder, &folder.join(from), &all));
        assert_eq!(machine.ask(), "same");
        let uuid = uuid(&socket);
        (machine, uuid, socket)
    };
    let (machine, same, _) = restored("snap", "qmp1", &[]);
    assert_eq!(same, GIVEN);
    machine.quit();
    let (machine, other, _) = restored("snap", "qmp2", &["--fresh-identity"]);
    machine.quit();
    let (mut machine, fresh, socket) = restored("snap", "qmp3", &["--fresh-identity"]);
    assert!(fresh != GIVEN && other != GIVEN && fresh != other, "{fresh} {other}");
    // The new ID is saved with the machine.
    let saved = ["snapshot", folder.join("again").to_str().unwrap(), "--stop"].map(str::to_owned);
    let output = crate::control::ctl(&socket, &saved.each_ref().map(String::as_str)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(machine.0.status(), Some(0));
    let (machine, again, _) = restored("again", "qmp4", &[]);
    assert_eq!(again, fresh);
    machine.quit();
}
