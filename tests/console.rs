//! `nvmm console`: the terminal, connected to a serial port that is a socket or a pseudoterminal.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Command, Stdio},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use support::{Running, expect, nvmm};
use terminal::Terminal;

fn console(place: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = nvmm();
    command.arg("console").arg(place);
    command
}

/// A console on a terminal, and its port.
fn on_terminal(path: &Path) -> (Terminal, UnixStream) {
    let listener = UnixListener::bind(path).unwrap();
    let mut terminal = Terminal::start(console(path));
    let (port, _) = listener.accept().unwrap();
    expect(&mut terminal.user, "Ctrl-A h helps\r\n");
    (terminal, port)
}

#[test]
fn a_terminal_is_raw_and_ctrl_a_x_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let (mut terminal, mut port) = on_terminal(&folder.path().join("port"));
    assert!(terminal.is_raw());
    port.write_all(b"login: ").unwrap();
    expect(&mut terminal.user, "login: ");
    // Ctrl-C also goes to the guest.
    terminal.user.write_all(b"root\r\x03").unwrap();
    expect(&mut port, "root\r\x03");
    // Of nvmm's own keys, the console handles two.
    terminal.user.write_all(b"\x01a\x01p\x01h").unwrap();
    expect(&mut port, "\x01\x01p");
    let help = expect(&mut terminal.user, "this help\r\n");
    assert!(help.contains("Ctrl-A x   leave the console; the guest runs on"), "{help}");
    terminal.user.write_all(b"\x01x").unwrap();
    assert_eq!(terminal.program.status(), Some(0));
    assert!(!terminal.is_raw());
    assert_eq!(port.read(&mut [0]).unwrap(), 0, "it has hung up");
}

#[test]
fn the_terminal_is_given_back_after_each_signal() {
    for (end, status) in [
        (Signal::TERM, Some(143)),
        (Signal::INT, Some(130)),
        (Signal::QUIT, Some(131)),
        (Signal::HUP, Some(129)),
        (Signal::USR2, Some(140)),
        // The signals' default actions end it.
        (Signal::ALARM, None),
        (Signal::ABORT, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (mut terminal, _port) = on_terminal(&folder.path().join("port"));
        kill_process(Pid::from_child(&terminal.program.0), end).unwrap();
        assert_eq!(terminal.program.status(), status, "{end:?}");
        assert!(!terminal.is_raw(), "after {end:?}");
    }
}

#[test]
fn the_end_of_the_port_is_the_end_of_the_console() {
    let folder = tempfile::tempdir().unwrap();
    let (mut terminal, mut port) = on_terminal(&folder.path().join("port"));
    port.write_all(b"power down\n").unwrap();
    drop(port);
    let seen = expect(&mut terminal.user, "has hung up\r\n");
    assert!(seen.starts_with("power down\r\n"), "{seen}");
    assert_eq!(terminal.program.status(), Some(0));
    assert!(!terminal.is_raw());
}

#[test]
fn a_pipe_is_input_too_and_its_end_is_not_the_consoles() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut command = console(&address);
    let mut console = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let (mut port, _) = listener.accept().unwrap();
    let mut stdin = console.0.stdin.take().unwrap();
    stdin.write_all(b"\x01x is no key of a pipe\n").unwrap();
    drop(stdin);
    let mut seen = [0; 23];
    port.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"\x01x is no key of a pipe\n");
    let text: Vec<u8> = (0..253).cycle().take(3 << 20).collect();
    let sent = text.clone();
    let sender = std::thread::spawn(move || port.write_all(&sent).unwrap());
    let mut output = Vec::new();
    console.0.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    sender.join().unwrap();
    assert!(output == text, "{} bytes", output.len());
    assert_eq!(console.status(), Some(0));
}

#[test]
fn a_pseudoterminal_is_a_port_too() {
    let mut port =
        std::fs::File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap());
    grantpt(&port).unwrap();
    unlockpt(&port).unwrap();
    let path = ptsname(&port, Vec::new()).unwrap().into_string().unwrap();
    let mut terminal = Terminal::start(console(path));
    expect(&mut terminal.user, "Ctrl-A h helps\r\n");
    port.write_all(b"login: ").unwrap();
    expect(&mut terminal.user, "login: ");
    drop(port);
    expect(&mut terminal.user, "has hung up\r\n");
    assert_eq!(terminal.program.status(), Some(0));
}

#[test]
fn paths_without_a_port_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let stale = folder.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let missing = folder.path().join("missing");
    for (place, why) in [
        (
            file.to_str().unwrap(),
            "that is no serial port; give the path of a socket or terminal, or HOST:PORT",
        ),
        ("/dev/null", "that is no terminal; give the path of a socket or terminal, or HOST:PORT"),
        (
            missing.to_str().unwrap(),
            "there is no such file; give the path of a socket or terminal, or HOST:PORT",
        ),
        ("127.0.0.1", "there is no such file; give the path of a socket or terminal, or HOST:PORT"),
        (stale.to_str().unwrap(), "Connection refused"),
        (&address, "Connection refused"),
        (
            "host:port",
            "there is no such file, and no such TCP port (1 to 65535); give the path of a socket or terminal, or HOST:PORT",
        ),
        (
            "127.0.0.1:99999",
            "there is no such file, and no such TCP port (1 to 65535); give the path of a socket or terminal, or HOST:PORT",
        ),
        (
            "127.0.0.1:0",
            "there is no such file, and no such TCP port (1 to 65535); give the path of a socket or terminal, or HOST:PORT",
        ),
    ] {
        let output = console(place).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{place}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with(&format!("nvmm: {place}: {why}")), "{error}");
    }
    let output = console("").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "nvmm: the port has no name; give the path of a socket or terminal, or HOST:PORT\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn ctrl_a_x_leaves_a_guest_that_reads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut terminal, mut port) = on_terminal(&folder.path().join("port"));
    // More than the socket and the console can buffer.
    terminal.type_at_once(3 << 20);
    let lost = expect(&mut terminal.user, "is lost\r\n");
    assert!(lost.contains("the guest reads no input"), "{lost}");
    terminal.user.write_all(b"\x01x").unwrap();
    assert_eq!(terminal.program.status_in_time(), Some(0));
    let mut taken = Vec::new();
    port.read_to_end(&mut taken).unwrap();
    assert!(!taken.is_empty() && taken.iter().all(|&byte| byte == b'w'));
}

#[test]
fn only_a_refusal_alone_is_a_failure() {
    let refusal = "nvmm: the guest reads nothing from COM1; try again later\r\n";
    // The last one is printed by an nvmm in the guest, which was refused there.
    let said = [(refusal, 1), ("", 0), ("guest\r\n", 0), (&format!("$ nvmm console a\r\n{refusal}"), 0)];
    for (said, status) in said {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("port");
        let listener = UnixListener::bind(&path).unwrap();
        let mut console = Running::start(console(&path).stdout(Stdio::piped()).stderr(Stdio::null()));
        let (mut port, _) = listener.accept().unwrap();
        port.write_all(said.as_bytes()).unwrap();
        drop(port);
        assert_eq!(console.status_in_time(), Some(status), "{said:?}");
        let mut shown = String::new();
        console.0.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
        assert_eq!(shown, said);
    }
}
