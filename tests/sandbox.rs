//! `--sandbox`: the actions that it denies to nvmm's threads, and the messages about them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/control.rs"]
mod control;
#[path = "support/mod.rs"]
mod support;

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::{fs::OpenOptionsExt, net::UnixStream, process::ExitStatusExt},
    path::Path,
    process::{Command, Stdio},
};

use control::Machine;
use serde_json::json;
use support::{Running, expect, expect_end, guest, in_time, no_kvm, nvmm};

/// The environment variable that makes a thread behave as if a guest had taken it over.
const TAKEN_OVER: &str = "NVMM_TEST_TAKEN_OVER";
/// The status of a call that was refused.
const REFUSED: Option<i32> = Some(14);

/// All kinds of devices that need nothing of the host, and a log of the guest's output.
const DEVICES: [&str; 18] = [
    "--disk",
    "disk",
    "--disk",
    "path=sata,bus=sata",
    "--balloon",
    "--vsock",
    "cid=3,uds=vsock",
    "--display",
    "vnc=unix:vnc",
    "--serial",
    "stdio",
    "--serial",
    "file=port",
    "--gdb",
    "unix:gdb",
    "--on-panic=exit",
    "--qmp",
    "qmp",
];

/// Returns true if nvmm lacks the code for a thread that was taken over: only test builds have it.
fn no_play() -> bool {
    if !cfg!(debug_assertions) {
        println!("skipped: a released nvmm can't be told to play one that was taken over");
    }
    !cfg!(debug_assertions)
}

/// A machine whose thread `thread` performs `act` first.
struct Play {
    nvmm: Running,
    folder: tempfile::TempDir,
}

impl Play {
    fn start(kernel: &str, thread: &str, act: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["disk", "sata"] {
            fs::write(folder.path().join(name), [0; 1 << 16]).unwrap();
        }
        fs::write(folder.path().join("input"), "some").unwrap();
        let input = File::open(folder.path().join("input")).unwrap();
        let mut command = nvmm();
        command.arg("--kernel").arg(guest(kernel)).args(["--memory", "16M", "--debug-exit", "0xf4"]);
        command.args(options).env(TAKEN_OVER, format!("{thread}: {act}")).current_dir(folder.path());
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { nvmm: Running::start(&mut command), folder }
    }

    /// nvmm's final status and messages.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.nvmm.status_in_time();
        (status, expect_end(self.nvmm.0.stderr.as_mut().unwrap()))
    }

    fn assert_refused(self, thread: &str, act: &str, call: &str) {
        let folder = self.folder.path().to_owned();
        let (status, said) = self.end();
        assert_eq!(status, REFUSED, "{thread}: {act}: {said}");
        // The kernel keeps 15 bytes of a thread's name.
        let thread: String = thread.chars().take(15).collect();
        let expected = format!("nvmm: the thread '{thread}' made the system call {call} (");
        assert!(said.contains(&expected), "{thread}: {act}: {said}");
        assert!(!folder.join("taken over").exists());
    }
}

fn is_there(path: &Path) -> bool {
    in_time(|| UnixStream::connect(path).is_ok())
}

/// The actions, with the system calls that are refused.
fn acts() -> Vec<(String, &'static str)> {
    let acts = [
        ("open", "openat"),
        ("create", "openat"),
        ("inet", "socket"),
        ("unix", "socket"),
        ("exec", "execve"),
        ("code", "mmap"),
    ];
    let calls = [
        (libc::SYS_fork, "fork"),
        (libc::SYS_vfork, "vfork"),
        (libc::SYS_clone, "clone"),
        (libc::SYS_execveat, "execveat"),
        (libc::SYS_open, "open"),
        (libc::SYS_openat2, "openat2"),
        (libc::SYS_creat, "creat"),
        (libc::SYS_socketpair, "socketpair"),
        (libc::SYS_bind, "bind"),
        (libc::SYS_kill, "kill"),
        (libc::SYS_tkill, "tkill"),
        (libc::SYS_tgkill, "tgkill"),
        (libc::SYS_ptrace, "ptrace"),
        (libc::SYS_process_vm_writev, "process_vm_writev"),
        (libc::SYS_pidfd_open, "pidfd_open"),
        (libc::SYS_mount, "mount"),
        (libc::SYS_unshare, "unshare"),
        (libc::SYS_setns, "setns"),
        (libc::SYS_chroot, "chroot"),
        (libc::SYS_bpf, "bpf"),
        (libc::SYS_userfaultfd, "userfaultfd"),
        (libc::SYS_keyctl, "keyctl"),
        (libc::SYS_chmod, "chmod"),
        (libc::SYS_ioctl, "ioctl"),
    ];
    let calls = calls.map(|(number, name)| (number.to_string(), name));
    acts.map(|(act, call)| (act.to_owned(), call)).into_iter().chain(calls).collect()
}

#[test]
fn a_taken_over_thread_has_no_way_out() {
    if no_kvm() || no_play() {
        return;
    }
    for (act, call) in acts() {
        // Run each action in all threads at once, as the test mostly waits.
        let threads = ["main", "machine", "spawner", "vcpu0"];
        let plays = threads.map(|thread| (thread, Play::start("power_off", thread, &act, &[])));
        for (thread, play) in plays {
            match (thread, call) {
                // This thread may open files, for commands.
                ("machine", "openat") => assert_eq!(play.end().0, Some(0)),
                // The process is named after this thread.
                ("main", _) => play.assert_refused("nvmm", &act, call),
                _ => play.assert_refused(thread, &act, call),
            }
        }
    }
}

#[test]
fn threads_of_devices_and_of_inspections_are_confined() {
    if no_kvm() || no_play() {
        return;
    }
    for (act, call) in [("open", "openat"), ("inet", "socket"), ("exec", "execve"), ("57", "fork")] {
        for (kernel, thread) in [
            ("blk_watch", "blk0 disk"),
            ("ahci", "ata0 sata"),
            ("spin", "gdb"),
            ("spin", "vnc"),
            ("spin", "models"),
            ("spin", "vnc viewer 1"),
            ("echo", "stdin"),
            ("hello", "serial output"),
            ("vsock", "vsock"),
        ] {
            let devices: &[&str] = match thread {
                "ata0 sata" => &["--disk", "path=sata,bus=sata"],
                "vsock" => &["--rng", "off", "--vsock", "cid=77,uds=vsock"],
                "stdin" | "serial output" => &[],
                _ => &DEVICES,
            };
            let play = Play::start(kernel, thread, act, devices);
            let at = |name: &str| play.folder.path().join(name);
            let _client = match thread {
                "gdb" => None,
                "vnc viewer 1" => is_there(&at("vnc")).then_some(()),
                "models" => {
                    assert!(is_there(&at("qmp")));
                    let _ = Command::new(env!("CARGO_BIN_EXE_nvmm"))
                        .args(["ctl", at("qmp").to_str().unwrap(), "query-cpu-definitions"])
                        .output();
                    None
                }
                _ => None,
            };
            play.assert_refused(thread, act, call);
        }
    }
}

#[test]
fn log_mode_reports_calls_and_makes_them_and_off_only_makes_them() {
    if no_kvm() || no_play() {
        return;
    }
    let message = "nvmm: the thread 'vcpu0' made the system call openat (257)";
    for (mode, is_told) in [("log", true), ("off", false)] {
        let (status, said) = Play::start("power_off", "vcpu0", "open", &["--sandbox", mode]).end();
        assert_eq!(status, Some(0), "{said}");
        assert_eq!(said.contains(message), is_told, "{said}");
        // Nothing depends on it: without a sandbox a thread has no filter, and so performs no action.
        assert_eq!(said.contains("the taken over thread vcpu0: open: Ok(())"), is_told, "{said}");
    }
}

/// The C library looks into paths with `..` by more calls than into others.
#[test]
fn paths_of_any_form_need_nothing_that_is_refused() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    let at = |name: &str| folder.path().join("sub/..").join(name).display().to_string();
    let create = |words: &[&str]| {
        let output = nvmm().args(["disk", "create"]).args(words).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    create(&["-f", "qcow2", "base.qcow2", "1M"]);
    create(&["-f", "qcow2", "-b", "sub/../base.qcow2", "-F", "qcow2", "top.qcow2"]);
    fs::write(folder.path().join("sub/cd.iso"), cdrom()).unwrap();
    let disk = format!(
        "path={},overlay={},backing-root={}/",
        at("top.qcow2"),
        at("over.qcow2"),
        folder.path().display()
    );
    let mut machine = Machine::start("spin", &["--display", "vga", "--cdrom", "none", "--disk", &disk]);
    let mut client = machine.client();
    for name in ["own/../picture.ppm", "picture.ppm"] {
        fs::create_dir_all(machine.folder.path().join("own")).unwrap();
        client.call("screendump", &json!({"filename": name})).unwrap();
    }
    let medium = at("sub/cd.iso");
    client.call("blockdev-change-medium", &json!({"id": "cdrom", "filename": medium})).unwrap();
    client.call("nvmm-snapshot-save", &json!({"directory": "own/../saved/"})).unwrap();
    client.call("quit", &json!({})).unwrap();
    let status = machine.nvmm.status_in_time();
    assert_eq!(status, Some(0), "{}", expect_end(machine.process().stderr.as_mut().unwrap()));
}

/// The start of a CD-ROM's image.
fn cdrom() -> Vec<u8> {
    let mut bytes = vec![0; 1 << 16];
    bytes[1 << 15..(1 << 15) + 6].copy_from_slice(b"\x01CD001");
    bytes
}

#[test]
fn a_panic_needs_nothing_that_is_refused() {
    if no_kvm() || no_play() {
        return;
    }
    let (status, said) = Play::start("power_off", "machine", "panic", &[]).end();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("thread 'machine' panicked at "), "{said}");
    assert!(said.contains("taken over"), "{said}");
}

#[test]
fn a_reader_of_stderr_that_does_not_read_blocks_nothing() {
    if no_kvm() || no_play() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let stderr = File::options().read(true).write(true).open(&pipe).unwrap();
    rustix::io::ioctl_fionbio(&stderr, true).unwrap();
    while rustix::io::write(&stderr, &[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&stderr, false).unwrap();
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("power_off")).args(["--memory", "16M"]);
    command.env(TAKEN_OVER, "vcpu0: exec").stdout(Stdio::null()).stderr(stderr);
    assert_eq!(Running::start(&mut command).status_in_time(), REFUSED);
}

/// The handler can't run then, and the kernel kills nvmm by the signal.
#[test]
fn a_refused_call_while_signals_are_blocked_is_in_the_kernels_log() {
    if no_kvm() || no_play() {
        return;
    }
    let log = File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
    if !Path::new("/proc/self/loginuid").exists() || log.is_err() {
        println!("partly skipped: the kernel's log can't be read, or has no such lines");
    }
    let mut log = log.ok().filter(|_| Path::new("/proc/self/loginuid").exists());
    log.iter_mut().for_each(|log| _ = log.seek(SeekFrom::End(0)).unwrap());
    // The kernel may drop a line when it has many.
    let is_told = (0..10).any(|_| {
        let mut play = Play::start("power_off", "vcpu0", "silent", &[]);
        let pid = play.nvmm.0.id();
        let status = play.nvmm.0.wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGSYS));
        let line = format!("pid={pid} comm=\"vcpu0\"");
        let Some(log) = &mut log else { return true };
        let mut record = [0; 8192];
        // An error means that there are no more records, or that some were lost.
        std::iter::from_fn(|| {
            log.read(&mut record).ok().map(|len| String::from_utf8_lossy(&record[..len]).into_owned())
        })
        .any(|record| record.contains(&line) && record.contains("syscall=59"))
    });
    assert!(is_told || is_running("auditd"), "auditd has these lines where it runs");
}

/// Returns whether a process of this name runs.
fn is_running(name: &str) -> bool {
    let named = |it: fs::DirEntry| {
        fs::read_to_string(it.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    fs::read_dir("/proc").unwrap().flatten().any(named)
}

#[test]
fn a_sigsys_from_another_process_is_no_refusal() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("echo", &[]);
    machine.prints("ready\n");
    let pid = rustix::process::Pid::from_child(machine.process());
    rustix::process::kill_process(pid, rustix::process::Signal::SYS).unwrap();
    assert_eq!(machine.process().wait().unwrap().signal(), Some(libc::SIGSYS));
}

/// The fields of each thread's status, by the thread's name.
fn threads(pid: u32) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks
        .filter_map(|task| {
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            Some((name.trim_end().to_owned(), fs::read_to_string(task.path().join("status")).ok()?))
        })
        .collect()
}

/// Checks the names of a machine's threads, and that all of them have filters.
fn assert_filtered(machine: &mut Machine, expected: &str) -> Vec<String> {
    let threads = threads(machine.process().id());
    for (name, status) in &threads {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("none").trim().to_owned()
        };
        assert_eq!(field("Seccomp:"), expected, "{name}");
        assert_eq!(field("NoNewPrivs:"), if expected == "2" { "1" } else { "0" }, "{name}");
        if expected == "2" {
            for rights in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
                assert_eq!(field(rights), "0000000000000000", "{name}: {rights}");
            }
        }
    }
    threads.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn every_thread_has_a_filter_also_after_a_reset_and_a_pause() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start(
        "echo",
        &["--balloon", "--vsock", "cid=3,uds=vsock", "--display", "vnc=unix:vnc", "--gdb", "unix:gdb"],
    );
    machine.prints("ready\n");
    let mut client = machine.client();
    for command in ["query-cpu-definitions", "stop", "cont", "system_reset"] {
        client.call(command, &json!({})).unwrap();
    }
    machine.prints("ready\n");
    let limits = fs::read_to_string(format!("/proc/{}/limits", machine.process().id())).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert!(cores.split_whitespace().skip(4).eq(["0", "0", "bytes"]), "{cores}");
    let names = assert_filtered(&mut machine, "2");
    for name in ["nvmm", "machine", "spawner", "vcpu0", "gdb", "vnc", "serial output"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
}

#[test]
fn without_a_sandbox_no_thread_has_a_filter() {
    if no_kvm() {
        return;
    }
    let own = fs::read_to_string("/proc/self/status").unwrap();
    if !own.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "0"])) {
        return println!("skipped: whoever started this test has filters");
    }
    let mut machine = Machine::start("echo", &["--sandbox", "off"]);
    machine.prints("ready\n");
    let names = assert_filtered(&mut machine, "0");
    assert!(!names.contains(&"spawner".to_owned()));
}

#[test]
fn qemus_words_are_taken() {
    let output = nvmm()
        .args([
            "--from-qemu",
            "qemu-system-x86_64 -kernel k -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny",
        ])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("--sandbox on"), "{printed}");
    let mut unknown = nvmm();
    unknown.args(["--sandbox", "some"]).stderr(Stdio::piped());
    let mut unknown = Running::start(&mut unknown);
    expect(unknown.0.stderr.as_mut().unwrap(), "some");
    assert_eq!(unknown.status_in_time(), Some(2));
}
