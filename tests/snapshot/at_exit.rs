//! `--snapshot-on-exit` that can't work is refused before the guest runs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::{
    control::Machine,
    remote::{RIP, Remote},
    saved::{GUEST, Restored, names, path, restore},
    support::{guest, no_kvm, nvmm},
};

/// A folder with a file, a directory that is no snapshot, and one that only root can write to.
struct Places(tempfile::TempDir);

impl Places {
    fn new() -> Self {
        let places = Self(tempfile::tempdir().unwrap());
        fs::set_permissions(places.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(places.at("file"), "mine").unwrap();
        fs::create_dir(places.at("folder")).unwrap();
        fs::write(places.at("folder/mine"), "mine").unwrap();
        fs::create_dir(places.at("roots")).unwrap();
        fs::write(places.at("disk"), [0; 512]).unwrap();
        places
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The command for a guest that prints at once.
    fn command(&self, options: &[&str]) -> Command {
        let mut command = nvmm();
        command.arg("--kernel").arg(guest("hello")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
        command.args(options).current_dir(self.0.path());
        command
    }

    /// nvmm's messages for options that it must refuse with this status, before the guest runs.
    fn refusal(&self, status: i32, options: &[&str]) -> String {
        let Output { status: ended, stdout, stderr } = self.command(options).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(ended.code(), Some(status), "{options:?}: {said}");
        assert_eq!(String::from_utf8_lossy(&stdout), "", "{options:?}: the guest has run");
        assert!(said.contains("--snapshot-on-exit"), "{options:?}: {said}");
        assert_eq!(names(self.0.path()), ["disk", "file", "folder", "roots"], "{options:?}");
        assert_eq!((names(&self.at("folder")), names(&self.at("roots"))), (vec!["mine".to_owned()], vec![]));
        said
    }
}

/// Places that can't take a snapshot, with nvmm's status and a part of its message.
const WRONG: [(&str, i32, &str); 8] = [
    ("missing/snap", 1, "missing/snap: no directory can be made there"),
    ("file/snap", 1, "file/snap: no directory can be made there"),
    ("file", 1, "file: that is there already and is no snapshot"),
    ("file/", 1, "file/: that is there already and is no snapshot"),
    ("folder", 1, "folder: that is there already and is no snapshot"),
    ("/", 2, "/: give the name of a directory to make"),
    (".", 2, ".: give the name of a directory to make"),
    ("folder/..", 2, "folder/..: give the name of a directory to make"),
];

#[test]
fn wrong_places_are_refused() {
    if no_kvm() {
        return;
    }
    let places = Places::new();
    for (place, status, why) in WRONG {
        for more in [&[][..], &["--dry-run"], &["--daemonize", "--serial", "null"], &["--allow-path", "."]] {
            let said = places.refusal(status, &[&["--snapshot-on-exit", place], more].concat());
            assert!(said.contains(why), "{place} {more:?}: {said}");
        }
    }
}

#[test]
fn a_machine_that_can_never_be_saved_is_refused() {
    if no_kvm() {
        return;
    }
    let places = Places::new();
    let disk = ["--disk", "path=disk,format=raw,id=d,overlay=temp", "--snapshot-on-exit", "snap"];
    let said = places.refusal(2, &disk);
    assert!(said.contains("disk d: what the guest wrote is gone at nvmm's end"), "{said}");
}

/// The machine's thread has the rights of its user, and the paths of its root, when it saves.
#[test]
fn a_place_that_the_jail_has_not_is_refused() {
    if no_kvm() {
        return;
    }
    if !geteuid().is_root() {
        return println!("skipped: only root can become another user");
    }
    let places = Places::new();
    let user = ["--user", "65533:65533"];
    let said = places.refusal(1, &[&user[..], &["--snapshot-on-exit", "roots/snap"]].concat());
    assert!(said.contains("roots/snap: no directory can be made there: Permission denied"), "{said}");
    let outside = places.at("roots/snap");
    let outside = outside.to_str().unwrap();
    let root = ["--chroot", "folder", "--snapshot-on-exit", outside];
    let said = places.refusal(1, &[&user[..], &root].concat());
    assert!(said.contains("/roots/snap: no directory can be made there: No such file"), "{said}");
    // It is a place of the new root's, which a dry run does not see.
    let mut dry = places.command(&[&user[..], &["--chroot", "folder", "--dry-run"]].concat());
    let output = dry.args(["--snapshot-on-exit", "/file/snap"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_good_place_is_left_as_it_was() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start(GUEST, &["--snapshot-on-exit", "snap/"]);
    machine.prints("ready\n");
    assert_eq!(names(machine.folder.path()), ["qmp"]);
    kill_process(Pid::from_child(machine.process()), Signal::TERM).unwrap();
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
    assert_eq!(names(&path(&machine, "snap")), ["machine.json", "memory", "state.json"]);
    // The older snapshot is there until a new one replaces it.
    let old = fs::read(path(&machine, "snap/machine.json")).unwrap();
    let mut again = Restored::start(&mut restore(
        machine.folder.path(),
        Path::new("snap"),
        &["--snapshot-on-exit", "snap"],
    ));
    assert_eq!(again.ask(), "same");
    assert_eq!(fs::read(path(&machine, "snap/machine.json")).unwrap(), old);
    again.quit();
    assert_eq!(names(machine.folder.path()), ["snap"]);
}

/// A debugger has breakpoints in memory and in registers, and has stopped the machine or lets it run.
#[test]
fn a_debugger_does_not_keep_a_machine_from_being_saved() {
    if no_kvm() {
        return;
    }
    for runs in [false, true] {
        let mut machine = Machine::start(GUEST, &["--snapshot-on-exit", "snap", "--gdb", "unix:gdb"]);
        machine.prints("ready\n");
        let mut debugger = Remote::connect(&path(&machine, "gdb")).unwrap();
        // Put the breakpoint into the loop in which the guest waits, or into a page that it compares.
        let place = debugger.register(RIP).unwrap();
        let before = debugger.memory(place).unwrap();
        debugger.order(&format!("Z0,{:x},1", if runs { 0x60_0000 } else { place })).unwrap();
        debugger.order("Z1,700000,1").unwrap();
        if runs {
            debugger.tell("vCont;c").unwrap();
        } else {
            assert_eq!(debugger.memory(place).unwrap(), before, "gdb does not see its own breakpoints");
        }
        kill_process(Pid::from_child(machine.process()), Signal::TERM).unwrap();
        assert_eq!(machine.nvmm.status_in_time(), Some(0), "runs: {runs}");
        let mut again = Restored::start(&mut restore(machine.folder.path(), Path::new("snap"), &[]));
        assert_eq!(again.ask(), "same");
        again.quit();
    }
}
