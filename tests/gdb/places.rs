//! Places where a debugger can connect.

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
    process::Stdio,
};

use tempfile::TempDir;

use crate::{
    machine::{Machine, remote},
    support::{Running, expect, guest, no_kvm, nvmm},
};

#[test]
fn a_place_that_can_t_be_had_is_refused_before_the_guest_runs() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let refused = |place: &str| {
        let mut command = nvmm();
        command.arg("--kernel").arg(guest("debugged")).args(["--memory", "16M", "--gdb", place]);
        let output = command.output().unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]), "{place}");
        String::from_utf8(output.stderr).unwrap()
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("tcp:{}", taken.local_addr().unwrap());
    assert!(refused(&place).contains("--gdb: ") && refused(&place).contains("another program listens there"));
    let live = path("live");
    let _listener = UnixListener::bind(&live).unwrap();
    assert!(refused(&format!("unix:{live}")).contains("another program listens there"));
    let file = path("file");
    fs::write(&file, "mine").unwrap();
    assert!(refused(&format!("unix:{file}")).contains("no socket"));
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert!(refused(&format!("unix:{}", path(&"x".repeat(120)))).contains("a unix socket's has at most 107"));
    assert!(refused(&format!("unix:{}", path("no/where"))).contains("No such file or directory"));
    // One that a killed process has left is replaced, and removed at the end.
    let stale = path("gdb");
    drop(UnixListener::bind(&stale).unwrap());
    let machine = Machine::start(&folder, &["--paused"]);
    let mut remote = remote(&machine);
    assert_eq!(fs::metadata(&stale).unwrap().permissions().mode() & 0o777, 0o600);
    remote.tell("k").unwrap();
    assert_eq!(machine.end().0, Some(0));
    assert!(!Path::new(&stale).exists());
}

#[test]
fn a_free_port_is_reported() {
    if no_kvm() {
        return;
    }
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("debugged")).args(["--memory", "16M", "-S", "-gdb", "tcp::0"]);
    let mut nvmm = Running::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let said = expect(nvmm.0.stderr.as_mut().unwrap(), "\n");
    let address = said.trim_end().rsplit(' ').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{said}");
    stream.write_all(b"$k#6b").unwrap();
    assert_eq!(nvmm.status_in_time(), Some(0));
}
