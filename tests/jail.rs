//! Machines that start as root and end up jailed, the log file, the service manager, and file descriptors.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/control.rs"]
mod control;
#[path = "support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::MetadataExt, net::UnixDatagram, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use control::Machine;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::json;
use support::{PATIENCE, Running, expect_end, guest, in_time, no_kvm, nvmm};

/// A user and a group without any files.
const NOBODY: u32 = 65533;
const USER: &str = "65533:65533";

/// All kinds of devices that need nothing of the host.
const DEVICES: [&str; 22] = [
    "--disk",
    "disk",
    "--disk",
    "path=sata,bus=sata",
    "--cdrom",
    "cd",
    "--balloon",
    "--vsock",
    "cid=3,uds=vsock",
    "--display",
    "vnc=unix:vnc",
    "--serial",
    "stdio",
    "--serial",
    "pty=pty",
    "--serial",
    "unix=serial,server",
    "--gdb",
    "unix:gdb",
    "--pidfile",
    "pid",
    "--on-panic=exit",
];

fn no_root() -> bool {
    if !geteuid().is_root() {
        println!("skipped: only root can become another user or join namespaces and control groups");
    }
    !geteuid().is_root()
}

/// Starts a machine with all devices by `command`.
fn with_devices(mut command: Command, options: &[&str]) -> Machine {
    let devices = DEVICES.iter().chain(options);
    // The directory exists before the process.
    let folder = tempfile::tempdir().unwrap();
    for name in ["cd", "disk", "sata"] {
        fs::write(folder.path().join(name), [0; 4096]).unwrap();
    }
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY))
        .or_else(|error| if geteuid().is_root() { Err(error) } else { Ok(()) })
        .unwrap();
    let socket = folder.path().join("qmp");
    command.arg("--kernel").arg(guest("spin")).args(["--memory", "16M", "--qmp", "qmp"]).args(devices);
    command.current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Machine { nvmm: Running::start(&mut command), socket, folder }
}

fn runs(machine: &Machine) -> bool {
    let mut client = machine.client();
    in_time(|| client.call("query-status", &json!({})).unwrap()["running"] == json!(true))
}

/// The status of each thread from the kernel, by its name and number.
fn threads(pid: u32) -> BTreeMap<String, BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks
        .filter_map(|task| {
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            let fields = status.lines().filter_map(|line| line.split_once(':'));
            let fields: BTreeMap<_, _> = fields
                .map(|(name, value)| {
                    (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" "))
                })
                .collect();
            Some((format!("{} {}", fields["Name"], task.file_name().display()), fields))
        })
        .collect()
}

fn assert_jailed(machine: &mut Machine) {
    let threads = threads(machine.process().id());
    assert!(threads.len() >= 3, "{threads:?}");
    for (thread, fields) in threads {
        for (field, value) in [
            ("Uid", "65533 65533 65533 65533"),
            ("Gid", "65533 65533 65533 65533"),
            ("Groups", "65533"),
            ("CapEff", "0000000000000000"),
            ("CapPrm", "0000000000000000"),
            ("CapInh", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "1"),
        ] {
            assert_eq!(fields[field], value, "{thread}: {field}");
        }
    }
}

#[test]
fn no_thread_has_a_way_back_and_resets_and_commands_work_in_the_new_root() {
    if no_kvm() || no_root() {
        return;
    }
    let mut machine = with_devices(nvmm(), &["--user", USER, "--chroot", "."]);
    assert!(runs(&machine));
    assert_jailed(&mut machine);
    let root = fs::read_link(format!("/proc/{}/root", machine.process().id())).unwrap();
    assert_eq!(root, machine.folder.path().canonicalize().unwrap());
    let folder = format!("/proc/{}/cwd", machine.process().id());
    assert_eq!(fs::read_link(folder).unwrap(), root);

    // The directories for files of commands and the user's files exist.
    machine.ask(&["screendump", "/picture.ppm"]);
    let picture = fs::metadata(machine.folder.path().join("picture.ppm")).unwrap();
    assert_eq!((picture.uid(), picture.gid()), (NOBODY, NOBODY));
    assert!(machine.folder.path().join("pid").exists());

    let mut client = machine.client();
    client.call("system_reset", &json!({})).unwrap();
    assert!(in_time(|| client.hear()["event"] == json!("RESET")));
    assert!(runs(&machine));
    assert_jailed(&mut machine);

    // Sockets in the new root are also removed at the end.
    client.call("quit", &json!({})).unwrap();
    assert_eq!(
        machine.nvmm.status_in_time(),
        Some(0),
        "{}",
        expect_end(machine.process().stderr.as_mut().unwrap())
    );
    let mut left: Vec<_> =
        fs::read_dir(machine.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["cd", "disk", "picture.ppm", "sata"]);
}

#[test]
fn a_network_namespace() {
    if no_kvm() || no_root() {
        return;
    }
    let mut other = Command::new("unshare");
    other.args(["--net", "sh", "-c", "echo there && read end"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(other) = other.spawn() else { return println!("skipped: there is no unshare") };
    let mut other = Running(other);
    let path = format!("/proc/{}/ns/net", other.0.id());
    let mut there = other.0.stdout.take().unwrap();
    if std::io::Read::read(&mut there, &mut [0; 6]).unwrap() == 0 {
        return println!("skipped: there can be no network namespace here");
    }
    let mut machine = with_devices(nvmm(), &["--user", USER, "--netns", &path]);
    assert!(runs(&machine));
    let namespace = fs::read_link(&path).unwrap();
    assert_ne!(fs::read_link("/proc/self/ns/net").unwrap(), namespace);
    for task in fs::read_dir(format!("/proc/{}/task", machine.process().id())).unwrap() {
        assert_eq!(fs::read_link(task.unwrap().path().join("ns/net")).unwrap(), namespace);
    }
    assert_jailed(&mut machine);
}

#[test]
fn a_control_group() {
    if no_kvm() || no_root() {
        return;
    }
    let name = format!("nvmm-test-{}", std::process::id());
    let folders = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer"]
        .map(|folder| Path::new(folder).join(&name));
    // With version 1, the first one is not a control group.
    let made = |folder: &&PathBuf| {
        folder.parent().unwrap().join("cgroup.procs").exists() && fs::create_dir(folder).is_ok()
    };
    let Some(group) = folders.iter().find(made) else {
        return println!("skipped: no control group can be made here");
    };
    let mut machine = with_devices(nvmm(), &["--user", USER, "--cgroup", group.to_str().unwrap()]);
    let is_there = runs(&machine);
    let of_process = fs::read_to_string(format!("/proc/{}/cgroup", machine.process().id())).unwrap();
    drop(machine);
    fs::remove_dir(group).unwrap();
    assert!(is_there);
    assert!(of_process.lines().any(|line| line.ends_with(&format!("/{name}"))), "{of_process}");
}

/// nvmm's message about options that are not possible, and its status.
fn refused(mut command: Command, options: &[&str]) -> (Option<i32>, String) {
    let output = command.arg("--kernel").arg(guest("spin")).args(options).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn impossible_jails_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let (folder, file) = (folder.path().to_str().unwrap(), file.to_str().unwrap());
    for (status, options, expected) in [
        (
            1,
            ["--user", "no such user"],
            "--user no such user: there is no user 'no such user' in /etc/passwd",
        ),
        (1, ["--user", "root"], "--user root: this is root, who is in no jail"),
        (2, ["--chroot", folder], "--user"),
        (1, ["--netns", folder], "this is no network namespace"),
        (1, ["--netns", "/nowhere"], "--netns /nowhere: No such file"),
        (1, ["--cgroup", folder], "this is no control group"),
        (1, ["--cgroup", file], "this is no control group"),
    ] {
        if !geteuid().is_root() && options[0] == "--netns" && options[1] == folder {
            continue;
        }
        let (ended, message) = refused(nvmm(), &options);
        assert_eq!(ended, Some(status), "{options:?}: {message}");
        assert!(message.contains(expected), "{options:?}: {message}");
    }
    if !geteuid().is_root() {
        return println!("partly skipped: it takes root to become somebody who is not");
    }
    for (path, expected) in [(file, "--chroot"), ("/nowhere", "--chroot /nowhere: No such file")] {
        let (ended, message) = refused(nvmm(), &["--user", USER, "--chroot", path]);
        assert_eq!(ended, Some(1), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    let mut other = nvmm();
    other.uid(NOBODY).gid(NOBODY).arg("--version");
    if other.stdout(Stdio::null()).status().is_err() {
        return println!("partly skipped: another user can't run this nvmm");
    }
    let mut other = nvmm();
    other.uid(NOBODY).gid(NOBODY);
    let (ended, message) = refused(other, &["--user", USER]);
    assert_eq!(ended, Some(1), "{message}");
    assert!(message.contains("only root can become another user; start nvmm as root"), "{message}");
}

#[test]
fn messages_go_to_the_end_of_the_log_file() {
    /// A message of a machine that runs.
    const MESSAGE: &str = "nvmm: nesting: ";
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("spin", &["--log-file", "log", "-v"]);
    let log = machine.folder.path().join("log");
    let read = || fs::read_to_string(&log).unwrap_or_default();
    assert!(in_time(|| read().contains(MESSAGE)), "{}", read());
    machine.client().call("quit", &json!({})).unwrap();
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
    let shown = expect_end(machine.process().stderr.as_mut().unwrap());
    assert!(!shown.contains(MESSAGE), "{shown}");

    // In the background, appending to the file.
    let before = read();
    let folder = machine.folder.path();
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("spin")).args(["--memory", "16M", "-v", "--daemonize"]);
    command.args(["--pidfile", "pid", "-D", "log"]).current_dir(folder);
    assert!(command.output().unwrap().status.success());
    let number = fs::read_to_string(folder.join("pid")).unwrap();
    let goes_on = in_time(|| read().strip_prefix(&before).is_some_and(|more| more.contains(MESSAGE)));
    kill_process(Pid::from_raw(number.trim_end().parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    assert!(goes_on, "{}", read());
}

#[test]
fn a_log_file_is_no_file_of_the_machines() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::write(&disk, [0; 4096]).unwrap();
    let path = disk.to_str().unwrap();
    let (status, message) = refused(nvmm(), &["--disk", path, "--log-file", path]);
    assert_eq!(status, Some(1), "{message}");
    assert!(message.contains("which would be overwritten"), "{message}");
    assert_eq!(fs::read(&disk).unwrap(), [0; 4096]);
    let (status, message) = refused(nvmm(), &["--log-file", "/dev/null"]);
    assert_eq!(status, Some(1), "{message}");
    assert!(message.contains("that is no regular file"), "{message}");
}

#[test]
fn the_service_manager_is_notified_that_the_machine_is_ready() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let jailed: &[&str] = if geteuid().is_root() { &["--user", USER, "--chroot", "."] } else { &[] };
    for options in [&[], jailed] {
        let mut command = nvmm();
        command.env("NOTIFY_SOCKET", &path);
        let machine = Machine::start_by(command, "spin", options);
        let mut heard = [0; 64];
        let len = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..len], b"READY=1");
        drop(machine);
    }
    let mut command = nvmm();
    command.env("NOTIFY_SOCKET", folder.path().join("nobody"));
    let (status, message) = refused(command, &[]);
    assert_eq!(status, Some(1), "{message}");
    assert!(message.contains("NOTIFY_SOCKET: No such file"), "{message}");
}

#[test]
fn no_program_that_nvmm_might_run_has_its_descriptors() {
    if no_kvm() {
        return;
    }
    let mut machine =
        with_devices(nvmm(), &["--stats", "stats", "--log-file", "log", "--serial", "file=port"]);
    assert!(runs(&machine));
    let _viewer = machine.client();
    let own = descriptors(machine.process().id());
    assert!(own.len() > 30, "{own:?}");
    // The program that started the test may have left open descriptors, which nvmm then inherits.
    let inherited = descriptors(std::process::id());
    let left = |number: &u32| !own[number].0 && inherited.get(number).is_none_or(|(closes, _)| *closes);
    let left: Vec<_> = own.keys().filter(|number| **number > 2 && left(number)).collect();
    assert!(left.is_empty(), "{left:?} of {own:?}");
}

/// The descriptors of a process, each with its close-on-exec flag, and its file.
fn descriptors(process: u32) -> BTreeMap<u32, (bool, PathBuf)> {
    let entries = fs::read_dir(format!("/proc/{process}/fdinfo")).unwrap().flatten();
    entries
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            // Other descriptors of this process may be closed meanwhile.
            let info = fs::read_to_string(entry.path()).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
            let closes = u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0;
            Some((number, (closes, fs::read_link(format!("/proc/{process}/fd/{number}")).ok()?)))
        })
        .collect()
}

/// A line of apparmor_parser's about the running kernel, not about the profile.
const KERNEL_WITHOUT_APPARMOR: &str = "Cache read/write disabled: interface file missing.";

/// Runs a program that checks a file, if it is installed.
fn checked_by(program: &str, options: &[&str], file: &Path) {
    match Command::new(program).args(options).arg(file).output() {
        Err(error) => println!("skipped: {program}: {error}"),
        Ok(output) => {
            let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            let lines = said.iter().flat_map(|text| text.lines());
            let complaints: Vec<_> =
                lines.filter(|line| !line.starts_with(KERNEL_WITHOUT_APPARMOR)).collect();
            assert!(output.status.success() && complaints.is_empty(), "{program}: {complaints:?}");
        }
    }
}

fn resource(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources").join(name)
}

#[test]
fn systemd_takes_the_unit_and_nvmm_its_options() {
    let unit = fs::read_to_string(resource("systemd/nvmm@.service")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nvmm@.service");
    fs::write(&file, unit.replace("ExecStart=nvmm ", concat!("ExecStart=", env!("CARGO_BIN_EXE_nvmm"), " ")))
        .unwrap();
    checked_by("systemd-analyze", &["verify", "--man=no"], &file);

    if no_kvm() {
        return;
    }
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=nvmm ")).unwrap();
    let line = line.replace("%i", "vm").replace("$NVMM_OPTIONS", "--dry-run");
    let (status, message) = refused(nvmm(), &line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(status, Some(0), "{message}");
}

#[test]
fn apparmor_takes_the_profile() {
    checked_by("apparmor_parser", &["-QT"], &resource("apparmor/usr.bin.nvmm"));
}
