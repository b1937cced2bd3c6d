//! What a user has of a machine's disks: how they are named, what they did, and that they grow.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ChildStderr, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use support::{Running, expect, guest, no_kvm, nvmm, run};

const IDLE: &str = "read 0 requests, 0 bytes; written 0 requests, 0 bytes; 0 flushes; discarded 0 requests, 0 bytes; \
                    zeroed 0 requests, 0 bytes; 0 errors";
const USED: &str = "read 1 request, 512 bytes; written 1 request, 512 bytes; 1 flush; discarded 0 requests, 0 bytes; \
                    zeroed 0 requests, 0 bytes; 0 errors";

fn disk(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    File::create(&path).unwrap().set_len(1 << 20).unwrap();
    path
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A machine that has used its first disk.
struct Watching {
    nvmm: Running,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl Watching {
    fn start(options: &[&str]) -> Self {
        let mut command: Command = nvmm();
        command.arg("--kernel").arg(guest("blk_watch")).args(["--memory", "16M"]).args(options);
        let mut nvmm = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let (mut stdout, stderr) = (nvmm.0.stdout.take().unwrap(), nvmm.0.stderr.take().unwrap());
        assert_eq!(expect(&mut stdout, "ready\n"), "0\n0\n0\nready\n");
        Self { nvmm, stdout, stderr }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.nvmm.0), signal).unwrap();
    }
}

#[test]
fn sigusr1_prints_what_each_disk_did() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (disk(folder.path(), "first"), disk(folder.path(), "second"));
    let first = format!("path={},id=root", path(&first));
    let mut machine = Watching::start(&["--disk", &first, "--disk", path(&second)]);
    for _ in 0..2 {
        machine.signal(Signal::USR1);
        assert_eq!(expect(&mut machine.stderr, "\n"), format!("nvmm: disk root: {USED}\n"));
        let line = expect(&mut machine.stderr, "\n");
        assert_eq!(line, format!("nvmm: disk {}: {IDLE}\n", path(&second)));
    }
    machine.signal(Signal::INT);
    assert_eq!(machine.nvmm.status(), Some(130));

    let mut machine = Watching::start(&["--disk", &first, "-v"]);
    machine.signal(Signal::INT);
    // Among all else that -v says.
    expect(&mut machine.stderr, &format!("nvmm: disk root: {USED}\n"));
    assert_eq!(machine.nvmm.status(), Some(130));
}

#[test]
fn sighup_tells_the_guest_which_disk_has_grown() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (disk(folder.path(), "first"), disk(folder.path(), "second"));
    let mut machine = Watching::start(&["-v", "--disk", path(&first), "--disk", path(&second)]);
    machine.signal(Signal::HUP);
    expect(&mut machine.stderr, "nvmm: SIGHUP: no disk has grown\n");

    File::options().write(true).open(&first).unwrap().set_len(3 << 20).unwrap();
    machine.signal(Signal::HUP);
    let line = expect(&mut machine.stderr, "\n");
    assert_eq!(line, format!("nvmm: disk {}: it has grown from 1 MiB to 3 MiB\n", path(&first)));
    assert_eq!(expect(&mut machine.stdout, "\n"), "sectors 1800\n");

    // A disk does not shrink.
    File::options().write(true).open(&first).unwrap().set_len(2 << 20).unwrap();
    machine.signal(Signal::HUP);
    assert_eq!(expect(&mut machine.stderr, "\n"), "nvmm: SIGHUP: no disk has grown\n");
    machine.signal(Signal::INT);
    assert_eq!(machine.nvmm.status(), Some(130));
}

#[test]
fn a_thousand_queues() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disks = (0..17).map(|n| format!("path={},queues=64", path(&disk(folder.path(), &n.to_string()))));
    let options: Vec<_> = disks.flat_map(|disk| ["--disk".to_owned(), disk]).collect();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let output = run("blk_write", &options);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let written = "near 0\nfar 0\nnear again 0\nflush 0\nread far 0\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), written);
}

#[test]
fn unsafe_caching_is_said_aloud() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = disk(folder.path(), "image");
    let option = format!("path={},cache=unsafe,id=scratch", path(&image));
    let output = run("blk_write", &["--disk", &option]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        stderr,
        "nvmm: disk scratch: cache=unsafe: if this host stops, what the guest has written is lost\n"
    );
}
