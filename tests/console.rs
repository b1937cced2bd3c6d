//! What a user has of a machine: its console, its keys, its signals.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![expect(unsafe_code, reason = "a child process gets a terminal of its own before it starts")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs::File,
    io::Write,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Command, Stdio},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};
use support::{Running, expect, guest, no_kvm, nvmm};

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
fn a_second_sigterm_and_other_signals_end_nvmm() {
    if no_kvm() {
        return;
    }
    for (signals, status) in
        [(&[Signal::TERM, Signal::TERM][..], 143), (&[Signal::INT], 130), (&[Signal::QUIT], 131)]
    {
        let mut child = Running::start(machine("echo").stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut stdout = child.0.stdout.take().unwrap();
        expect(&mut stdout, "ready\n");
        for one in signals {
            signal(&child, *one);
            // Signals of a kind that are pending are one.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(child.status(), Some(status), "{signals:?}");
    }
}

/// A terminal with nvmm in its foreground.
struct Terminal {
    user: File,
    /// Held so that the terminal outlives nvmm.
    guest: OwnedFd,
    nvmm: Running,
}

impl Terminal {
    fn start(name: &str) -> Self {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let path = ptsname(&user, Vec::new()).unwrap();
        let guest = File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();
        let mut command = machine(name);
        command
            .stdin(guest.try_clone().unwrap())
            .stdout(guest.try_clone().unwrap())
            .stderr(guest.try_clone().unwrap());
        let become_session_leader = || {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(std::io::stdin().as_fd())?;
            Ok(())
        };
        // SAFETY: only system calls, between fork and exec.
        unsafe { command.pre_exec(become_session_leader) };
        let nvmm = Running::start(&mut command);
        let mut terminal = Self { user: user.into(), guest: guest.into(), nvmm };
        expect(&mut terminal.user, "ready\r\n");
        terminal
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.guest).unwrap().local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }
}

#[test]
fn a_terminal_is_raw_for_the_guest_and_ctrl_a_x_ends_it() {
    if no_kvm() {
        return;
    }
    let mut terminal = Terminal::start("echo");
    assert!(terminal.is_raw());
    terminal.user.write_all(b"abc\x01h").unwrap();
    let seen = expect(&mut terminal.user, "this help\r\n");
    assert!(seen.contains("Ctrl-A x   end nvmm"), "{seen}");
    terminal.user.write_all(b"\x01x").unwrap();
    assert_eq!(terminal.nvmm.status(), Some(0));
    assert!(!terminal.is_raw());
}

#[test]
fn nvmm_ends_with_its_terminal() {
    if no_kvm() {
        return;
    }
    let Terminal { user, guest, mut nvmm } = Terminal::start("echo");
    // Somebody asks for something; that is not the end.
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
    for end in [Signal::TERM, Signal::INT, Signal::SEGV, Signal::ABORT, Signal::BUS] {
        let mut terminal = Terminal::start("echo");
        assert!(terminal.is_raw());
        signal(&terminal.nvmm, end);
        if end == Signal::TERM {
            std::thread::sleep(std::time::Duration::from_millis(50));
            signal(&terminal.nvmm, end);
        }
        terminal.nvmm.status();
        assert!(!terminal.is_raw(), "after {end:?}");
    }
    // The guest ends by itself.
    let mut terminal = Terminal::start("echo");
    terminal.user.write_all(b"q").unwrap();
    assert_eq!(terminal.nvmm.status(), Some(1));
    assert!(!terminal.is_raw());
}
