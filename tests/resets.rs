//! Repeated resets of a machine with all kinds of devices.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{fs, io::Write, process::Stdio, thread, time::Duration};

use support::{Running, expect, guest, no_kvm, nvmm, sanitizer_kib};
use tempfile::TempDir;

const TIMES: usize = 400;
/// The number of resets to skip at first, which fill caches.
const SETTLED: usize = 50;
/// The memory in KiB that the allocator may keep.
const SLACK_KIB: u64 = 512;

/// The host's resources that a process uses.
#[derive(Debug)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    resident_kib: u64,
}

impl Holdings {
    /// The resources of a machine whose last vCPU runs: the first one may print before that.
    fn of(running: &Running) -> Self {
        let folder = format!("/proc/{}", running.0.id());
        let is_last = |task: fs::DirEntry| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim_end() == "vcpu1")
        };
        while !fs::read_dir(format!("{folder}/task")).unwrap().flatten().any(is_last) {
            thread::sleep(Duration::from_millis(1));
        }
        let count = |name| fs::read_dir(format!("{folder}/{name}")).unwrap().count();
        let status = fs::read_to_string(format!("{folder}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self {
            descriptors: count("fd"),
            threads: count("task"),
            resident_kib: resident.trim().trim_end_matches(" kB").parse().unwrap(),
        }
    }
}

#[test]
fn four_hundred_resets_leave_nothing_behind() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let disk = folder.path().join("disk");
    fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("echo")).args(["--memory", "16M", "--smp", "2", "--balloon"]);
    command.args(["--on-panic", "exit", "--debug-exit", "0xf4"]);
    command.arg("--disk").arg(format!("path={},format=raw", disk.display()));
    let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut stdin = running.0.stdin.take().unwrap();
    let mut stdout = running.0.stdout.take().unwrap();
    expect(&mut stdout, "ready\n");
    let mut settled = None;
    for time in 1..=TIMES {
        stdin.write_all(b"R").unwrap();
        expect(&mut stdout, "ready\n");
        if time == SETTLED {
            settled = Some(Holdings::of(&running));
        }
    }
    let (before, after) = (settled.unwrap(), Holdings::of(&running));
    println!("{before:?}, then {after:?}");
    assert_eq!((after.descriptors, after.threads), (before.descriptors, before.threads));
    assert!(after.resident_kib <= before.resident_kib + SLACK_KIB + sanitizer_kib());
    stdin.write_all(b"q").unwrap();
    assert_eq!(running.status_in_time(), Some(1));
}
