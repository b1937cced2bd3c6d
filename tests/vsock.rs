//! Connections between programs of a tiny guest and of the host.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/af_vsock.rs"]
mod af_vsock;
#[path = "support/control.rs"]
mod control;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, Stdio},
};

use control::Machine;
use rustix::net::accept as accept_any;
use serde_json::json;
use support::{PATIENCE, Running, expect_end, guest, no_kvm, nvmm, run};
use tempfile::TempDir;

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
    program.set_read_timeout(Some(PATIENCE)).unwrap();
    writeln!(program, "CONNECT {port}").unwrap();
    let (mut line, mut byte) = (String::new(), [0]);
    while !line.ends_with('\n') && matches!(program.read(&mut byte), Ok(1)) {
        line.push(char::from(byte[0]));
    }
    (program, line)
}

fn accept(listener: &UnixListener) -> UnixStream {
    let (program, _) = listener.accept().unwrap();
    program.set_read_timeout(Some(PATIENCE)).unwrap();
    program
}

/// Checks that the guest sends back what it gets.
fn is_echoed(stream: &mut (impl Read + Write)) {
    for round in 0..100_u32 {
        stream.write_all(&round.to_le_bytes()).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(u32::from_le_bytes(answer), round);
    }
}

fn has_ended(stream: &mut impl Read) -> bool {
    let end = stream.read(&mut [0]);
    matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
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
    is_echoed(&mut echo);
    assert_eq!(connect(&path, 8).1, "", "nobody listens there");
    drop(program);
    assert_eq!(machine.status_in_time(), Some(1 << 1 | 1));
    let (stdout, stderr) = (machine.0.stdout.as_mut().unwrap(), machine.0.stderr.as_mut().unwrap());
    assert_eq!((expect_end(stdout), expect_end(stderr)), ("cid 4d\nend\n".to_owned(), String::new()));
    assert!(has_ended(&mut echo));
    assert!(!path.exists());
}

/// The socket file exists from start to end, and follows the rules of nvmm's other sockets.
#[test]
fn the_socket_file_is_made_and_removed() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("vsock");
    // A socket that a killed nvmm left behind is replaced.
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

    // A machine that will not run creates none.
    let vsock = format!("cid=77,uds={}", path.display());
    let plan = run("vsock", &["--rng", "off", "--dry-run", "--vsock", &vsock]);
    let plan = String::from_utf8(plan.stdout).unwrap();
    let line = plan.lines().find(|line| line.contains("virtio-vsock [1af4:1053]"));
    assert!(line.is_some_and(|line| line.ends_with(&format!("cid 77 at {}", path.display()))), "{plan}");
    assert!(!path.exists());
}

/// If the kernel has no vhost-vsock, or the user may not open it, the error says so.
#[test]
fn the_kernels_sockets_connect_through_pauses_and_until_resets_or_are_refused() {
    if no_kvm() {
        return;
    }
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/vhost-vsock") {
        let output = run("vsock", &["--vsock", "cid=77"]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), message.lines().count()), (Some(1), 1), "{message}");
        for part in ["--vsock cid=77: can't open /dev/vhost-vsock", "`modprobe vhost_vsock`", "add uds=PATH"]
        {
            assert!(message.contains(part), "{message}");
        }
        return println!("skipped, except for the error: /dev/vhost-vsock: {error}");
    }
    let listener = match af_vsock::listener(52, PATIENCE) {
        Err(rustix::io::Errno::ACCESS) => return println!("skipped: port 52 is for root"),
        listener => listener.unwrap(),
    };
    let hello = || {
        let mut program = File::from(accept_any(&listener).unwrap());
        let mut hello = [0; 5];
        program.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello");
        program
    };
    let echo = || File::from(af_vsock::connected(77, 7, PATIENCE).unwrap());
    let mut machine = Machine::start("vsock", &["-device", "vhost-vsock-pci,guest-cid=77", "--rng", "off"]);
    let (mut program, mut stream) = (hello(), echo());
    is_echoed(&mut stream);

    let output = run("vsock", &["--vsock", "cid=77"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), message.lines().count()), (Some(1), 1), "{message}");
    assert!(message.contains("--vsock cid=77: another guest of this host has the address 77"), "{message}");

    let mut client = machine.client();
    client.call("stop", &json!({})).unwrap();
    client.call("cont", &json!({})).unwrap();
    is_echoed(&mut stream);
    let refused = af_vsock::connected(77, 8, PATIENCE).unwrap_err();
    assert_eq!(refused, rustix::io::Errno::CONNRESET, "nobody listens there");

    client.call("system_reset", &json!({})).unwrap();
    assert!(has_ended(&mut program) && has_ended(&mut stream));
    program = hello();
    is_echoed(&mut echo());
    drop(program);
    assert_eq!(machine.nvmm.status_in_time(), Some(1 << 1 | 1));
}

#[test]
fn a_plan_opens_no_device_of_the_kernels() {
    if no_kvm() {
        return;
    }
    for option in [["--vsock", "cid=77"], ["-device", "vhost-vsock-pci,guest-cid=77"]] {
        let plan = run("vsock", &[&["--rng", "off", "--dry-run"][..], &option].concat());
        let plan = String::from_utf8(plan.stdout).unwrap();
        let line = plan.lines().find(|line| line.contains("virtio-vsock [1af4:1053]"));
        assert!(line.is_some_and(|line| line.ends_with("cid 77 by the kernel's vhost-vsock")), "{plan}");
    }
}
