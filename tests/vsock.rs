//! Connections between programs of a tiny guest and of the host.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use support::{Running, expect_end, guest, no_kvm, nvmm, run};
use tempfile::TempDir;

/// What does not come in a minute never will.
const LONG: Duration = Duration::from_secs(60);

/// A machine with a socket device at `path`.
fn machine(path: &Path, more: &[&str]) -> Command {
    let mut command = nvmm();
    command
        .arg("--kernel")
        .arg(guest("vsock"))
        .args(["--debug-exit", "0xf4", "--memory", "16M", "--rng", "off", "--vsock"])
        .arg(format!("cid=77,uds={}", path.display()))
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Connects to the guest's port, and returns the line that answers.
fn connect(path: &Path, port: u32) -> (UnixStream, String) {
    let mut program = UnixStream::connect(path).unwrap();
    program.set_read_timeout(Some(LONG)).unwrap();
    writeln!(program, "CONNECT {port}").unwrap();
    let (mut line, mut byte) = (String::new(), [0]);
    while !line.ends_with('\n') && matches!(program.read(&mut byte), Ok(1)) {
        line.push(char::from(byte[0]));
    }
    (program, line)
}

fn accept(listener: &UnixListener) -> UnixStream {
    let (program, _) = listener.accept().unwrap();
    program.set_read_timeout(Some(LONG)).unwrap();
    program
}

#[test]
fn programs_of_the_host_and_the_guest_connect() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("vsock");
    let listener = UnixListener::bind(folder.path().join("vsock_52")).unwrap();
    let mut machine = Running::start(&mut machine(&path, &[]));
    let mut program = accept(&listener);
    let mut hello = [0; 5];
    program.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");

    let (mut echo, line) = connect(&path, 7);
    assert!(line.strip_prefix("OK ").is_some_and(|port| port.trim().parse::<u32>().is_ok()), "{line}");
    for round in 0..100_u32 {
        echo.write_all(&round.to_le_bytes()).unwrap();
        let mut answer = [0; 4];
        echo.read_exact(&mut answer).unwrap();
        assert_eq!(u32::from_le_bytes(answer), round);
    }
    assert_eq!(connect(&path, 8).1, "", "nobody listens there");
    drop(program);
    assert_eq!(machine.status_in_time(), Some(1 << 1 | 1));
    let (stdout, stderr) = (machine.0.stdout.as_mut().unwrap(), machine.0.stderr.as_mut().unwrap());
    assert_eq!((expect_end(stdout), expect_end(stderr)), ("cid 4d\nend\n".to_owned(), String::new()));
    let end = echo.read(&mut [0]);
    assert!(matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert!(!path.exists());
}

/// The socket is there from the start to the end, with the rules of other sockets.
#[test]
fn the_socket_file_is_made_and_removed() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("vsock");
    // One that a killed nvmm left behind is replaced.
    drop(UnixListener::bind(&path).unwrap());
    let listener = UnixListener::bind(folder.path().join("vsock_52")).unwrap();
    let mut first = Running::start(&mut machine(&path, &[]));
    let program = accept(&listener);
    let found = fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket() && found.permissions().mode() & 0o700 == 0o700);

    let second = machine(&path, &[]).output().unwrap();
    let message = String::from_utf8(second.stderr).unwrap();
    assert_eq!((second.status.code(), message.lines().count()), (Some(1), 1), "{message}");
    for part in ["--vsock cid=77", path.to_str().unwrap(), "another program listens there"] {
        assert!(message.contains(part), "{message}");
    }
    drop(program);
    assert_eq!(first.status_in_time(), Some(3));
    assert!(!path.exists());

    // A machine that will not run makes none.
    let vsock = format!("cid=77,uds={}", path.display());
    let plan = run("vsock", &["--rng", "off", "--dry-run", "--vsock", &vsock]);
    let plan = String::from_utf8(plan.stdout).unwrap();
    let line = plan.lines().find(|line| line.contains("virtio-vsock [1af4:1053]"));
    assert!(line.is_some_and(|line| line.ends_with(&format!("cid 77 at {}", path.display()))), "{plan}");
    assert!(!path.exists());
}
