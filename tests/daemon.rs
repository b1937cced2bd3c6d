//! Machines in the background, and their PID files.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/control.rs"]
mod control;
#[path = "support/mod.rs"]
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use control::Machine;
use rustix::process::{Pid, Signal, getsid, kill_process, test_kill_process};
use serde_json::json;
use support::{Running, expect_end, guest, in_time, no_kvm, nvmm, run};
use terminal::Terminal;

/// The command for a machine in the background that runs forever.
fn in_background(pid_file: &Path) -> Command {
    let mut command = nvmm();
    command
        .arg("--kernel")
        .arg(guest("spin"))
        .args(["--memory", "16M", "--daemonize", "--pidfile"])
        .arg(pid_file);
    command
}

/// A process in the background, which is killed at the end of the test.
struct Background(Pid);

impl Background {
    fn of(pid_file: &Path) -> Self {
        let text = fs::read_to_string(pid_file).unwrap();
        let number = text.strip_suffix('\n').unwrap().parse().unwrap();
        Self(Pid::from_raw(number).unwrap())
    }

    /// The file behind a descriptor.
    fn file(&self, descriptor: u32) -> PathBuf {
        fs::read_link(format!("/proc/{}/fd/{descriptor}", self.0.as_raw_nonzero())).unwrap()
    }

    fn runs(&self) -> bool {
        test_kill_process(self.0).is_ok()
    }

    /// Waits up to a minute for its end. Its status must not have been read before.
    fn ends(&self) {
        let is_dead = || match fs::read_to_string(format!("/proc/{}/stat", self.0.as_raw_nonzero())) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        assert!(in_time(is_dead));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn the_command_returns_once_the_machine_is_there() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("spin", &["--daemonize", "--pidfile", "pid"]);
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
    let pid_file = machine.folder.path().join("pid");
    let nvmm = Background::of(&pid_file);
    // The machine no longer holds the command's output open.
    assert_eq!(expect_end(machine.process().stdout.as_mut().unwrap()), "");
    assert_eq!(expect_end(machine.process().stderr.as_mut().unwrap()), "");
    for descriptor in 0..3 {
        assert_eq!(nvmm.file(descriptor), Path::new("/dev/null"));
    }
    assert_eq!(getsid(Some(nvmm.0)), Ok(nvmm.0));

    let mut client = machine.client();
    let mut is_running = || client.call("query-status", &json!({})).unwrap()["running"] == json!(true);
    assert!(in_time(&mut is_running));
    assert_eq!(client.call("quit", &json!({})), Ok(json!({})));
    nvmm.ends();
    assert!(!pid_file.exists());
    assert!(!machine.socket.exists());
}

#[test]
fn qemus_words_and_sigterm() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let mut command = nvmm();
    command
        .arg("-daemonize")
        .arg("-pidfile")
        .arg(&pid_file)
        .arg("-kernel")
        .arg(guest("button"))
        .args(["-m", "16"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let nvmm = Background::of(&pid_file);
    assert!(nvmm.runs());
    kill_process(nvmm.0, Signal::TERM).unwrap();
    nvmm.ends();
    assert!(!pid_file.exists());
}

#[test]
fn a_machine_in_the_background_outlives_its_terminal() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let mut terminal = Terminal::start(in_background(&pid_file));
    assert_eq!(terminal.program.status_in_time(), Some(0));
    drop(terminal);
    let nvmm = Background::of(&pid_file);
    // A hangup would have arrived by now.
    thread::sleep(Duration::from_millis(300));
    assert!(nvmm.runs());
}

#[test]
fn errors_are_printed_and_have_their_status() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let refused = |options: &[&str]| {
        let pid_file = ["--daemonize", "--pidfile", pid_file.to_str().unwrap()];
        let output = run("spin", &[options, &pid_file].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, message) = refused(&["--initramfs", "/nowhere"]);
    assert_eq!(status, Some(1), "{message}");
    assert!(message.contains("/nowhere") && message.contains("No such file"), "{message}");
    let (status, message) = refused(&["--smbios", "type=99"]);
    assert_eq!(status, Some(2), "{message}");
    assert!(message.starts_with("nvmm: --smbios type=99: "), "{message}");
    let (status, message) = refused(&["--serial", "stdio"]);
    assert_eq!(status, Some(2), "{message}");
    assert!(
        message.starts_with("nvmm: --serial stdio: with --daemonize there is no terminal; "),
        "{message}"
    );
    assert!(!pid_file.exists());
}

#[test]
fn a_second_machine_has_a_file_of_its_own() {
    if no_kvm() {
        return;
    }
    let mut first = Machine::start("spin", &["--pidfile", "pid"]);
    first.prints("spinning\n");
    let pid_file = first.folder.path().join("pid");
    let nvmm = Background::of(&pid_file);
    assert_eq!(nvmm.0, Pid::from_child(first.process()));
    let option = pid_file.to_str().unwrap();
    for more in [&[][..], &["--daemonize"]] {
        let second = run("spin", &[&["--pidfile", option], more].concat());
        assert_eq!(second.status.code(), Some(1));
        let message = String::from_utf8(second.stderr).unwrap();
        assert_eq!(
            message,
            format!("nvmm: --pidfile {option}: another machine that runs has this file; give each its own\n")
        );
    }
    assert_eq!(Background::of(&pid_file).0, nvmm.0);
}

#[test]
fn a_command_that_is_interrupted_leaves_no_machine() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (pid_file, port) = (folder.path().join("pid"), folder.path().join("com1"));
    let mut command = in_background(&pid_file);
    command.arg("--serial").arg(format!("unix={},server,wait", port.display()));
    let mut nvmm = Running::start(&mut command);
    assert!(in_time(|| port.exists()));
    assert!(nvmm.0.try_wait().unwrap().is_none(), "it waits for a client of its port");
    kill_process(Pid::from_child(&nvmm.0), Signal::TERM).unwrap();
    nvmm.status();
    let mut client = UnixStream::connect(&port).unwrap();
    // Its machine ends immediately after the start.
    expect_end(&mut client);
    assert!(in_time(|| !pid_file.exists()));
}
