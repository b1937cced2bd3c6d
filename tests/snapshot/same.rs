//! A restored guest that compares its state finds no change.

use serde_json::Value;

use crate::{
    control::Machine,
    saved::{GUEST, Restored, Saved, WAYS, ask, path, restore},
    support::no_kvm,
};

#[test]
fn a_machine_that_is_saved_goes_on() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start(GUEST, &[]);
    machine.prints("ready\n");
    assert_eq!(ask(&mut machine.nvmm), "same");
    for time in 0..5 {
        machine.ask(&["snapshot", path(&machine, &format!("snap{time}")).to_str().unwrap()]);
        assert_eq!(ask(&mut machine.nvmm), "same");
        // The copy is restored again, and the original continues.
        let mut copy = Restored::start(&mut restore(
            machine.folder.path(),
            &path(&machine, &format!("snap{time}")),
            &[],
        ));
        assert_eq!(copy.ask(), "same");
        copy.quit();
    }
}

#[test]
fn ten_come_from_one_directory_after_the_first_was_killed() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start(GUEST, &[]);
    machine.prints("ready\n");
    machine.ask(&["snapshot", path(&machine, "snap").to_str().unwrap()]);
    machine.process().kill().unwrap();
    machine.nvmm.status();
    let saved = Saved { folder: machine.folder };
    let mut all: Vec<_> =
        (0..10).map(|number| saved.restore(&["--restore-memory", WAYS[number % 2]])).collect();
    for machine in &mut all {
        assert_eq!(machine.ask(), "same");
        assert_eq!(machine.ask(), "same");
    }
    all.into_iter().for_each(Restored::quit);
}

/// Each generation is saved and restored in turn.
#[test]
fn a_restored_machine_can_be_saved() {
    if no_kvm() {
        return;
    }
    let saved = Saved::new(&[]);
    let folder = saved.folder.path().to_owned();
    for generation in 0..6 {
        let old = if generation == 0 { "snap".to_owned() } else { format!("snap{generation}") };
        let new = format!("snap{}", generation + 1);
        let way = WAYS[generation % 2];
        let socket = folder.join("qmp");
        let _ = std::fs::remove_file(&socket);
        let options = ["--restore-memory", way, "--qmp", socket.to_str().unwrap()];
        let mut machine = Restored::start(&mut restore(&folder, &folder.join(&old), &options));
        assert_eq!(machine.ask(), "same", "generation {generation}");
        let output =
            crate::control::ctl(&socket, &["snapshot", folder.join(&new).to_str().unwrap(), "--stop"])
                .output()
                .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(machine.0.status(), Some(0));
    }
}

/// The guest's second processor checks its own registers all the time.
#[test]
fn two_vcpus_go_on() {
    if no_kvm() {
        return;
    }
    let saved = Saved::new(&["--smp", "2"]);
    for way in WAYS {
        let mut machine = saved.restore(&["--restore-memory", way]);
        for _ in 0..3 {
            assert_eq!(machine.ask(), "same");
        }
        machine.quit();
    }
}

#[test]
fn a_machine_restored_with_paused_waits() {
    if no_kvm() {
        return;
    }
    let saved = Saved::new(&[]);
    let socket = saved.folder.path().join("again");
    let log = saved.folder.path().join("log");
    let mut command = saved.command(&["--paused", "--qmp", socket.to_str().unwrap()]);
    let mut machine = Restored::start(command.stderr(std::fs::File::create(&log).unwrap()));
    let ctl = |words: &[&str]| {
        let output = crate::control::ctl(&socket, words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    while !socket.exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let status: Value = serde_json::from_str(&ctl(&["query-status"])).unwrap();
    assert_eq!((&status["running"], &status["status"]), (&false.into(), &"prelaunch".into()));
    // The control socket answers while the machine is still being built.
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let waits = crate::support::in_time(|| said().contains("the machine waits where it was saved: "));
    assert!(waits, "{}", said());
    // A machine that has not run yet can also be saved.
    ctl(&["snapshot", saved.folder.path().join("second").to_str().unwrap()]);
    ctl(&["cont"]);
    assert_eq!(machine.ask(), "same");
    machine.quit();
    let second = restore(saved.folder.path(), &saved.folder.path().join("second"), &[])
        .stdin(std::process::Stdio::piped())
        .spawn();
    let mut second = crate::support::Running(second.unwrap());
    std::io::Write::write_all(second.0.stdin.as_mut().unwrap(), b"q").unwrap();
    assert_eq!(second.status(), Some(1));
}

#[test]
fn info_describes_the_snapshot() {
    if no_kvm() {
        return;
    }
    let saved = Saved::new(&["--name", "box", "--balloon"]);
    let output = saved.info(&["--check", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{json}");
    assert_eq!(json["can-run-here"], true);
    assert_eq!((&json["vcpus"], &json["memory"]), (&1.into(), &(16 << 20).into()));
    assert_eq!(json["nested-guests"].as_array().unwrap().len(), 0);
    let options = json["options"].as_array().unwrap();
    for option in ["--memory=16M", "--name=box", "--balloon", "--debug-exit=0xf4"] {
        assert!(options.iter().any(|given| given == option), "{option}: {options:?}");
    }
    assert!(!options.iter().any(|given| given.as_str().unwrap().starts_with("--qmp")), "{options:?}");
    let text = String::from_utf8(saved.info(&[]).stdout).unwrap();
    assert!(text.contains("this host   can run it") && text.contains("memory      16 MiB"), "{text}");
}
