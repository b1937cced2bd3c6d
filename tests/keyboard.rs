//! The keyboard: keys that programs press, as a guest receives them.

#[path = "support/control.rs"]
mod control;
#[path = "support/mod.rs"]
mod support;

use control::Machine;
use serde_json::json;
use support::{no_kvm, nvmm, run};

/// nvmm's statuses if the guest ends with 0, and with 1.
const DONE: Option<i32> = Some(1);
const NO_KEYBOARD: Option<i32> = Some(3);

fn machine() -> Machine {
    let mut machine = Machine::start("keyboard", &["--display", "vga"]);
    machine.prints("ready\n");
    machine
}

#[test]
fn a_guest_reads_the_keys_that_are_sent() {
    if no_kvm() {
        return;
    }
    let mut machine = machine();
    machine.ask(&["send-key", "ctrl-alt-f1"]);
    machine.prints("1d\n38\n3b\nbb\nb8\n9d\n");
    // By a number, and for a different time.
    machine.ask(&["send-key", "0xc8", "hold-time=1"]);
    machine.prints("e0\n48\ne0\nc8\n");
    machine.ask(&["human-monitor-command", "command-line=sendkey shift-a 1"]);
    machine.prints("2a\n1e\n9e\naa\n");
    // The keys of a second command come after those of the first.
    let mut client = machine.client();
    for key in ["pause", "print"] {
        let keys = json!({"keys": [{"type": "qcode", "data": key}], "hold-time": 20});
        assert_eq!(client.call("send-key", &keys), Ok(json!({})));
    }
    machine.prints("e1\n1d\n45\ne1\n9d\nc5\ne0\n2a\ne0\n37\ne0\nb7\ne0\naa\n");
    machine.ask(&["send-key", "esc"]);
    machine.prints("1\n81\n");
    assert_eq!(machine.nvmm.status_in_time(), DONE);
}

#[test]
fn keys_wait_while_the_machine_is_stopped_and_come_to_the_one_after_a_reset() {
    if no_kvm() {
        return;
    }
    let mut machine = machine();
    machine.ask(&["stop"]);
    // The second waits for the first.
    machine.ask(&["send-key", "a", "hold-time=0"]);
    machine.ask(&["send-key", "b", "hold-time=0"]);
    machine.ask(&["cont"]);
    machine.prints("1e\n9e\n30\nb0\n");
    machine.ask(&["system_reset"]);
    machine.prints("ready\n");
    machine.ask(&["send-key", "esc"]);
    machine.prints("1\n81\n");
    assert_eq!(machine.nvmm.status_in_time(), DONE);
}

#[test]
fn keys_that_there_are_not_are_refused_for_a_person() {
    if no_kvm() {
        return;
    }
    let mut machine = machine();
    for (words, why) in [
        (&["send-key", "ctrl-retn"][..], "unknown key 'retn' (did you mean ret?)"),
        (&["send-key", "ctrl-"], "unknown key ''"),
        (&["send-key", "0x80"], "there is no key 0x80"),
        (&["send-key", "a", "hold-time=1000000"], "keys can't be held for 1000000 milliseconds"),
    ] {
        let output = machine.ctl(words);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains(why) && output.status.code() == Some(1), "{words:?}: {message}");
    }
    let answer = machine.ask(&["human-monitor-command", "command-line=sendkey foo"]);
    assert!(answer.starts_with("unknown key 'foo'"), "{answer}");
    let many = json!({"keys": vec![json!({"type": "number", "data": 1}); 1000]});
    let refused = machine.client().call("send-key", &many).unwrap_err();
    assert!(refused.contains("0 presses and releases of keys still wait, and 2000 more"), "{refused}");
    machine.ask(&["send-key", "esc"]);
    machine.prints("1\n81\n");
    assert_eq!(machine.nvmm.status_in_time(), DONE);
}

#[test]
fn a_machine_without_a_screen_has_no_keyboard() {
    if no_kvm() {
        return;
    }
    let output = run("keyboard", &[]);
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stdout)),
        (NO_KEYBOARD, "no keyboard\n".into())
    );
    let mut machine = Machine::start("spin", &[]);
    machine.prints("spinning\n");
    let output = machine.ctl(&["send-key", "a"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("the machine has no keyboard; start it with --display vga"), "{message}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_dry_run_shows_the_keyboard() {
    if no_kvm() {
        return;
    }
    for (display, expected) in [("vga", "i8042 with a PS/2 keyboard"), ("none", "i8042 (reset only)")] {
        let mut command = nvmm();
        command.arg("--dry-run").arg("--kernel").arg(support::guest("spin"));
        let output = command.args(["--display", display]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<_> = text.lines().filter(|line| line.contains("i8042")).collect();
        assert!(lines.len() == 1 && lines[0].contains(expected), "{text}");
        assert_eq!(
            lines[0].contains("IRQ 1") || lines[0].contains("GSI 1"),
            display == "vga",
            "{}",
            lines[0]
        );
    }
}
