//! The main loop as a user sees it: stdin and stdout, keys, signals, and the restored terminal.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use support::{Running, expect, guest, no_kvm, nvmm};
use terminal::Terminal;

fn machine(name: &str) -> Command {
    let mut command = nvmm();
    command.arg("--kernel").arg(guest(name)).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command
}

fn signal(child: &Running, signal: Signal) {
    kill_process(Pid::from_child(&child.0), signal).unwrap();
}

#[test]
fn all_input_of_a_pipe_arrives_and_its_end_stops_nothing() {
    if no_kvm() {
        return;
    }
    let mut child = Running::start(machine("echo").stdin(Stdio::piped()).stdout(Stdio::piped()));
    let text: String = (0..2000).map(|n| format!("{n} \x01x ")).collect();
    let mut stdin = child.0.stdin.take().unwrap();
    let mut stdout = child.0.stdout.take().unwrap();
    let sent = text.clone();
    let sender = std::thread::spawn(move || stdin.write_all(format!("{sent}s").as_bytes()).unwrap());
    let seen = expect(&mut stdout, "still here\n");
    sender.join().unwrap();
    assert_eq!(seen, format!("ready\n{text}still here\n"), "also Ctrl-A: a pipe is no keyboard");
    assert_eq!(child.status(), Some(0));
}

#[test]
fn a_file_is_input_too() {
    if no_kvm() {
        return;
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"from a file q").unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let output = machine("echo").stdin(file).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "the guest saw q");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ready\nfrom a file ");
}

#[test]
fn sigterm_presses_the_power_button() {
    if no_kvm() {
        return;
    }
    let mut child = Running::start(machine("button").stdout(Stdio::piped()));
    let mut stdout = child.0.stdout.take().unwrap();
    expect(&mut stdout, "ready\n");
    signal(&child, Signal::TERM);
    expect(&mut stdout, "button\n");
    assert_eq!(child.status(), Some(0));
}

#[test]
fn sigint_and_sigquit_end_nvmm() {
    if no_kvm() {
        return;
    }
    for (end, status) in [(Signal::INT, 130), (Signal::QUIT, 131)] {
        let mut child = Running::start(machine("button").stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut stdout = child.0.stdout.take().unwrap();
        expect(&mut stdout, "ready\n");
        signal(&child, end);
        assert_eq!(child.status(), Some(status), "{end:?}");
    }
}

fn on_terminal(name: &str) -> Terminal {
    let mut terminal = Terminal::start(machine(name));
    expect(&mut terminal.user, "ready\r\n");
    terminal
}

#[test]
fn a_terminal_is_raw_for_the_guest_and_ctrl_a_x_ends_it() {
    if no_kvm() {
        return;
    }
    let mut terminal = on_terminal("echo");
    assert!(terminal.is_raw());
    terminal.user.write_all(b"abc\x01h").unwrap();
    let seen = expect(&mut terminal.user, "this help\r\n");
    assert!(seen.contains("Ctrl-A x   end nvmm"), "{seen}");
    terminal.user.write_all(b"\x01x").unwrap();
    assert_eq!(terminal.program.status(), Some(0));
    assert!(!terminal.is_raw());
}

#[test]
fn ctrl_a_x_works_after_a_long_paste() {
    if no_kvm() {
        return;
    }
    let mut terminal = on_terminal("echo");
    terminal.type_at_once(900 << 10);
    terminal.user.write_all(b"\x01x").unwrap();
    assert_eq!(terminal.program.status_in_time(), Some(0));
}

#[test]
fn nvmm_ends_with_its_terminal() {
    if no_kvm() {
        return;
    }
    let Terminal { user, guest, program: mut nvmm } = on_terminal("echo");
    // A SIGHUP from another process does not end nvmm, as a hangup does.
    signal(&nvmm, Signal::HUP);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut user = user;
    user.write_all(b"abc").unwrap();
    expect(&mut user, "abc");
    drop(user);
    assert_eq!(nvmm.status(), Some(129));
    drop(guest);
}

#[test]
fn the_terminal_is_given_back_however_nvmm_ends() {
    if no_kvm() {
        return;
    }
    for end in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut terminal = on_terminal("echo");
        assert!(terminal.is_raw());
        signal(&terminal.program, end);
        terminal.program.status();
        assert!(!terminal.is_raw(), "after {end:?}");
    }
    // The guest ends by itself.
    let mut terminal = on_terminal("echo");
    terminal.user.write_all(b"q").unwrap();
    assert_eq!(terminal.program.status(), Some(1));
    assert!(!terminal.is_raw());
}
