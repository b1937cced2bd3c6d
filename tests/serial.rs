//! Serial ports with their own back ends: sockets, pseudoterminals, files, and their logs.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::{fd::AsFd, unix::fs::OpenOptionsExt, unix::net::UnixStream},
    path::Path,
    process::{ChildStderr, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use support::{Running, expect, expect_end, guest, no_kvm, nvmm};
use terminal::Terminal;

/// The guest that echoes its input on each port.
fn machine(serial: &[&str]) -> Command {
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("ports")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    for serial in serial {
        command.args(["--serial", serial]);
    }
    command
}

fn start(serial: &[&str]) -> (Running, ChildStderr) {
    let mut nvmm = Running::start(machine(serial).stderr(Stdio::piped()));
    let stderr = nvmm.0.stderr.take().unwrap();
    (nvmm, stderr)
}

/// Reads the port's address from nvmm's messages.
fn place(stderr: &mut ChildStderr, port: &str) -> String {
    let line = expect(stderr, "\n");
    let place = line.strip_prefix(&format!("nvmm: {port} is ")).unwrap_or_else(|| panic!("{line}"));
    place.strip_prefix("at ").unwrap_or(place).trim_end().to_owned()
}

/// Sends a line, and reads its echo.
fn echo(peer: &mut (impl Read + Write + AsFd), line: &str) {
    peer.write_all(line.as_bytes()).unwrap();
    assert_eq!(expect(peer, line), line);
}

fn end(mut nvmm: Running, mut peer: impl Write) {
    peer.write_all(b"q").unwrap();
    assert_eq!(nvmm.status_in_time(), Some(1));
}

#[test]
fn four_ports_have_a_place_each() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let unix = at("com3");
    let serial = [
        "tcp=:0,server",
        "pty",
        &format!("unix={unix},server,log={}", at("log")),
        &format!("file={}", at("com4")),
    ];
    let (nvmm, mut stderr) = start(&serial);
    let tcp = place(&mut stderr, "COM1");
    let pty = place(&mut stderr, "COM2");
    let mut com1 = TcpStream::connect(tcp).unwrap();
    let mut com2 = attach(&pty);
    assert_eq!(expect(&mut com1, "\n"), "COM1 ready\n");
    assert_eq!(expect(&mut com2, "\n"), "COM2 ready\n");
    let mut com3 = UnixStream::connect(&unix).unwrap();
    assert_eq!(expect(&mut com3, "\n"), "COM3 ready\n");
    for _ in 0..3 {
        echo(&mut com1, "one\n");
        echo(&mut com2, "two\n");
        echo(&mut com3, "three\n");
    }
    end(nvmm, com2);
    assert_eq!(fs::read_to_string(at("com4")).unwrap(), "COM4 ready\n");
    assert_eq!(fs::read_to_string(at("log")).unwrap(), "COM3 ready\nthree\nthree\nthree\n");
    assert!(!Path::new(&unix).exists(), "the socket is removed");
}

/// Opens a pseudoterminal without making it the controlling terminal.
fn attach(path: &str) -> fs::File {
    fs::File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path).unwrap()
}

#[test]
fn ten_sessions_lose_nothing() {
    if no_kvm() {
        return;
    }
    let (nvmm, mut stderr) = start(&["tcp=:0,server"]);
    let address = place(&mut stderr, "COM1");
    let mut expected = "COM1 ready\n".to_owned();
    for session in 0..10 {
        let mut peer = TcpStream::connect(&address).unwrap();
        // First the output since the last peer has gone.
        assert_eq!(expect(&mut peer, &expected), expected);
        echo(&mut peer, &format!("session {session}\n"));
        // A part of the answer may arrive before nvmm notices that the peer has hung up.
        expected = format!("last words {session}, {}\n", "x".repeat(1000 * session));
        peer.write_all(expected.as_bytes()).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let answer = expect_end(&mut peer);
        expected = expected.strip_prefix(&answer).unwrap().to_owned();
    }
    let mut peer = TcpStream::connect(&address).unwrap();
    assert_eq!(expect(&mut peer, &expected), expected);
    end(nvmm, peer);
}

#[test]
fn a_session_outlives_the_machines_resets() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("com1");
    let (nvmm, _stderr) = start(&[&format!("unix={},server,wait", path.display())]);
    let mut peer = connect(&path);
    expect(&mut peer, "COM1 ready\n");
    for _ in 0..10 {
        // The UART has taken all of it when the guest resets.
        peer.write_all(b"before R and after\n").unwrap();
        assert_eq!(expect(&mut peer, "after\n"), "before COM1 ready\n and after\n");
    }
    end(nvmm, peer);
}

/// Connects as soon as there is a listener.
fn connect(path: &Path) -> UnixStream {
    let start = std::time::Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(peer) => return peer,
            Err(error) => assert!(start.elapsed().as_secs() < 60, "{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_machine_that_waits_for_its_peer_handles_signals() {
    if no_kvm() {
        return;
    }
    for signal in [Signal::TERM, Signal::INT] {
        let (mut nvmm, mut stderr) = start(&["tcp=:0,server,wait"]);
        let line = expect(&mut stderr, "\n");
        assert!(line.starts_with("nvmm: COM1 waits for a connection at 127.0.0.1:"), "{line}");
        kill_process(Pid::from_child(&nvmm.0), signal).unwrap();
        assert_eq!(nvmm.status_in_time(), Some(128 + signal.as_raw()));
    }
}

#[test]
fn a_client_connects_again_whenever_the_server_is_there() {
    if no_kvm() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (nvmm, _stderr) = start(&[&format!("tcp={address}")]);
    for n in 0..3 {
        let (mut peer, _) = listener.accept().unwrap();
        if n == 0 {
            expect(&mut peer, "COM1 ready\n");
        }
        echo(&mut peer, "abc\n");
    }
    let (peer, _) = listener.accept().unwrap();
    end(nvmm, peer);
}

#[test]
fn nvmm_console_attaches_and_a_second_one_is_refused() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("com1");
    let (mut machine, _stderr) = start(&["null", &format!("unix={},server,wait", path.display())]);
    drop(connect(&path));
    let console = || {
        let mut command = nvmm();
        command.arg("console").arg(&path);
        command
    };
    let mut first = Terminal::start(console());
    expect(&mut first.user, "COM2 ready\r\n");
    first.user.write_all(b"typed").unwrap();
    expect(&mut first.user, "typed");
    let second = console().output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&second.stdout),
        "nvmm: COM2 has a connection already; try again when that has ended\r\n"
    );
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&second.stderr),
        format!("nvmm: {} ended the connection at once\n", path.display())
    );
    first.user.write_all(b"\x01x").unwrap();
    assert_eq!(first.program.status(), Some(0));
    assert!(machine.0.try_wait().unwrap().is_none(), "the guest runs on");
    let mut again = Terminal::start(console());
    expect(&mut again.user, "Ctrl-A h helps\r\n");
    again.user.write_all(b"q").unwrap();
    assert_eq!(machine.status_in_time(), Some(1));
    expect(&mut again.user, "has hung up\r\n");
    assert_eq!(again.program.status(), Some(0));
}

#[test]
fn files_are_emptied_or_added_to_and_logs_too_small_stop_nothing() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["emptied", "added"] {
        fs::write(at(name), "before\n").unwrap();
    }
    let serial = [
        &format!("stdio,log={}", at("log")),
        &format!("file={},log=/dev/full", at("emptied")),
        &format!("file={},append=on", at("added")),
    ];
    let serial: Vec<_> = serial.iter().map(|it| it.as_str()).collect();
    let mut child =
        Running::start(machine(&serial).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdout = child.0.stdout.take().unwrap();
    expect(&mut stdout, "COM1 ready\n");
    end_by_stdin(&mut child);
    assert_eq!(fs::read_to_string(at("log")).unwrap(), "COM1 ready\n");
    assert_eq!(fs::read_to_string(at("emptied")).unwrap(), "COM2 ready\n");
    assert_eq!(fs::read_to_string(at("added")).unwrap(), "before\nCOM3 ready\n");
    let said = expect_end(child.0.stderr.as_mut().unwrap());
    assert_eq!(said.matches("No space left on device").count(), 1, "{said}");
}

fn end_by_stdin(child: &mut Running) {
    child.0.stdin.take().unwrap().write_all(b"q").unwrap();
    assert_eq!(child.status_in_time(), Some(1));
}

#[test]
fn ports_in_use_are_refused() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = listener.local_addr().unwrap().to_string();
    let _live = std::os::unix::net::UnixListener::bind(at("live")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("stale")).unwrap());
    fs::write(at("file"), "text").unwrap();
    for (serial, why) in [
        (format!("tcp={tcp},server"), format!("{tcp}: another program listens there; give another port")),
        (
            format!("unix={},server", at("live")),
            "another program listens there; give another path".to_owned(),
        ),
        (
            format!("unix={},server", at("file")),
            "there is a file that is no socket; give another path".to_owned(),
        ),
        (format!("pty={}", at("file")), "there is such a file; give another name, or remove it".to_owned()),
        (format!("null,log={}", at("no/log")), "No such file or directory".to_owned()),
        (format!("unix=/{},server", "x".repeat(107)), "the path has 108 bytes".to_owned()),
        (format!("unix=/{}", "x".repeat(107)), "a unix socket's has at most 107".to_owned()),
        // Too long for a host name, so that no resolver is asked.
        (format!("tcp={}:1", "x".repeat(70)), "xxx:1: failed to lookup address information".to_owned()),
    ] {
        let output = machine(&[&serial]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{serial}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        let given = serial.split_once('=').unwrap().1.trim_end_matches(",server").trim_start_matches("log=");
        assert!(error.contains(&why) && error.contains(given), "{serial}: {error}");
    }
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "text");
    // A socket left behind by a killed process is replaced.
    let (nvmm, _stderr) = start(&[&format!("unix={},server,wait", at("stale"))]);
    end(nvmm, connect(Path::new(&at("stale"))));
}

/// A program, if it is installed.
fn tool(name: &str) -> Option<Command> {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).exists()));
    if !found {
        println!("skipped: {name} is not installed");
    }
    found.then(|| Command::new(name))
}

/// Makes `program` connect ten times, with the guest answering each time.
fn ten_times(mut program: impl FnMut() -> Command) {
    for n in 0..10 {
        let mut peer = Running::start(program().stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (mut stdin, mut stdout) = (peer.0.stdin.take().unwrap(), peer.0.stdout.take().unwrap());
        // telnet changes line endings.
        writeln!(stdin, "line {n}.").unwrap();
        expect(&mut stdout, &format!("line {n}."));
    }
}

#[test]
fn socat_comes_and_goes() {
    let Some(_) = tool("socat") else { return };
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unix = folder.path().join("com2").to_str().unwrap().to_owned();
    let (nvmm, mut stderr) = start(&["tcp=:0,server", &format!("unix={unix},server"), "pty"]);
    let tcp = place(&mut stderr, "COM1");
    let pty = place(&mut stderr, "COM3");
    for to in [format!("TCP:{tcp}"), format!("UNIX-CONNECT:{unix}"), format!("{pty},raw,echo=0")] {
        ten_times(|| {
            let mut socat = Command::new("socat");
            socat.args(["-", &to]);
            socat
        });
    }
    end(nvmm, attach(&pty));
}

#[test]
fn telnet_comes_and_goes() {
    let Some(_) = tool("telnet") else { return };
    if no_kvm() {
        return;
    }
    let (nvmm, mut stderr) = start(&["telnet:127.0.0.1:0,server,nowait", "tcp=:0,server"]);
    let telnet = place(&mut stderr, "COM1");
    let plain = place(&mut stderr, "COM2");
    for address in [telnet, plain.clone()] {
        let (host, port) = address.split_once(':').unwrap();
        ten_times(|| {
            let mut telnet = Command::new("telnet");
            telnet.args(["-E", host, port]);
            telnet
        });
    }
    end(nvmm, TcpStream::connect(plain).unwrap());
}

/// The kernel lets a file grow up to the limit, and the guest continues after that.
#[test]
fn a_limit_of_file_sizes_bounds_a_ports_file_and_its_log() {
    const LIMIT: u64 = 64 * 512;
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for serial in ["file=bounded", "null,log=bounded"] {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -f 64 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_nvmm")]);
        command.arg("--kernel").arg(guest("flood")).args(["--memory", "16M", "--cmdline", "d"]);
        // The guest prints 256 KiB, and then waits.
        command.args(["--serial", serial, "--expect", "end", "--send", "x"]).current_dir(folder.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{serial}: {said}");
        assert_eq!(said.matches("is lost: File too large").count(), 1, "{serial}: {said}");
        assert_eq!(fs::metadata(folder.path().join("bounded")).unwrap().len(), LIMIT, "{serial}");
        fs::remove_file(folder.path().join("bounded")).unwrap();
    }
}
