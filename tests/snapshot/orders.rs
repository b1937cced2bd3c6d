//! The ways to request a save.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    control::Machine,
    saved::{GUEST, Restored, ask, names, path, restore},
    support::{expect, no_kvm},
};

fn kill(machine: &Machine, signal: Signal) {
    kill_process(Pid::from_child(&machine.nvmm.0), signal).unwrap();
}

#[test]
fn sigterm_saves_instead_of_asking_the_guest() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start(GUEST, &["--snapshot-on-exit", "snap"]);
    machine.prints("ready\n");
    kill(&machine, Signal::TERM);
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
    // Saving to and restoring from the same name can be repeated.
    for _ in 0..3 {
        let mut again = Restored::start(&mut restore(
            machine.folder.path(),
            &path(&machine, "snap"),
            &["--snapshot-on-exit", "snap", "--restore-memory", "map"],
        ));
        assert_eq!(again.ask(), "same");
        kill_process(Pid::from_child(&again.0.0), Signal::TERM).unwrap();
        assert_eq!(again.0.status_in_time(), Some(0));
        assert_eq!(names(machine.folder.path()), ["snap"]);
    }
}

#[test]
fn sigusr2_saves_and_the_machine_goes_on() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start(GUEST, &["--snapshot-on-exit", "snap"]);
    machine.prints("ready\n");
    for _ in 0..3 {
        kill(&machine, Signal::USR2);
        expect(machine.process().stderr.as_mut().unwrap(), "the machine is saved in snap\n");
        assert_eq!(ask(&mut machine.nvmm), "same");
    }
    machine.process().kill().unwrap();
    machine.nvmm.status();
    let mut again = Restored::start(&mut restore(machine.folder.path(), &path(&machine, "snap"), &[]));
    assert_eq!(again.ask(), "same");
    again.quit();
}

#[test]
fn sigusr2_without_a_place_does_nothing() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start(GUEST, &[]);
    machine.prints("ready\n");
    kill(&machine, Signal::USR2);
    expect(machine.process().stderr.as_mut().unwrap(), "no --snapshot-on-exit says where");
    assert_eq!(ask(&mut machine.nvmm), "same");
}

#[test]
fn existing_files_are_kept() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start(GUEST, &[]);
    machine.prints("ready\n");
    let file = path(&machine, "file");
    fs::write(&file, "mine").unwrap();
    let refused = |place: &str| {
        let output = machine.ctl(&["snapshot", path(&machine, place).to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused("file").contains("that is there already"));
    assert!(refused("missing/snap").contains("no directory can be made there"));
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(ask(&mut machine.nvmm), "same", "it goes on");
}

#[test]
fn a_failed_save_at_the_end_is_reported() {
    if no_kvm() {
        return;
    }
    let outer = tempfile::tempdir().unwrap();
    let place = outer.path().join("snap");
    let mut machine = Machine::start(GUEST, &["--snapshot-on-exit", place.to_str().unwrap()]);
    machine.prints("ready\n");
    // The folder was there at the start.
    outer.close().unwrap();
    kill(&machine, Signal::TERM);
    assert_eq!(machine.nvmm.status_in_time(), Some(1));
    let mut said = String::new();
    std::io::Read::read_to_string(machine.process().stderr.as_mut().unwrap(), &mut said).unwrap();
    assert!(said.contains("/snap: no directory can be made there"), "{said}");
    assert!(said.contains("--snapshot-on-exit: "), "{said}");
}

#[test]
fn options_of_the_guest_stay_and_those_of_the_host_may_change() {
    if no_kvm() {
        return;
    }
    let saved = crate::saved::Saved::new(&["--name", "one"]);
    let refused = saved.refusal(2, &["--memory", "32M", "--smp", "2"]);
    assert!(refused.contains("--memory 32M: that is as it was when the machine was saved"), "{refused}");
    assert!(refused.contains("--smp 2: that is as it was"), "{refused}");
    let refused = saved.refusal(2, &["--serial", "null", "--serial", "null"]);
    assert!(refused.contains("the guest has 1 serial ports"), "{refused}");
    let file = saved.folder.path().join("console");
    let socket = saved.folder.path().join("socket");
    let place = format!("unix={},server", socket.display());
    let mut machine = saved.restore(&["--serial", &place, "--name", "two"]);
    let mut console = loop {
        match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(console) => break console,
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    };
    std::io::Write::write_all(&mut console, b".").unwrap();
    assert_eq!(expect(&mut console, "\n"), "same\n");
    std::io::Write::write_all(&mut console, b"q").unwrap();
    assert_eq!(machine.0.status(), Some(1));
    assert!(!file.exists());
}

/// The directory gets its name last. If another one was created meanwhile, it stays, and the machine that was to end continues.
#[test]
fn a_name_that_is_taken_meanwhile_stays_and_so_does_the_machine() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start(GUEST, &[]);
    machine.prints("ready\n");
    let place = path(&machine, "snap");
    let save = crate::control::ctl(&machine.socket, &["snapshot", place.to_str().unwrap(), "--stop"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while names(machine.folder.path()).len() < 2 {}
    fs::create_dir(&place).unwrap();
    let output = save.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("snap: another save, or program, has made that meanwhile"), "{said}");
    assert_eq!(ask(&mut machine.nvmm), "same", "it goes on");
    assert_eq!(names(machine.folder.path()), ["qmp", "snap"]);
    assert_eq!(names(&place), [""; 0]);
}
