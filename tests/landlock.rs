//! The files, ports and processes that threads can reach, when the filters allow the calls that would reach others, and `--allow-path`.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/control.rs"]
mod control;
#[path = "support/mod.rs"]
mod support;
#[path = "support/variables.rs"]
mod variables;

use std::{
    fs::{self, File},
    io::Read,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{chown, symlink},
            net::{SocketAddr, UnixListener, UnixStream},
        },
    },
    path::Path,
    process::{Command, Stdio},
};

use control::Machine;
use rustix::process::geteuid;
use serde_json::json;
use support::{Running, expect, expect_end, guest, in_time, no_kvm, nvmm, run};

/// The environment variables that make a thread behave as if a guest had taken it over, and that keep it from files though all calls are
/// allowed.
const TAKEN_OVER: &str = "NVMM_TEST_TAKEN_OVER";
const FILES_KEPT: &str = "NVMM_TEST_FILES_KEPT";
/// landlock's errors for files and ports, and for sockets and signals.
const DENIED: &str = "Err(Os { code: 13,";
const NOT_PERMITTED: &str = "Err(Os { code: 1,";

/// The version of landlock that nvmm reports. If there is none, prints that the test is skipped.
fn landlock() -> Option<u32> {
    let output =
        nvmm().arg("-v").arg("--kernel").arg(guest("power_off")).args(["--memory", "16M"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let version = said.split("landlock's version ").nth(1).and_then(|rest| rest.split_whitespace().next());
    if version.is_none() {
        assert!(said.contains("this kernel has no landlock"), "{said}");
        println!("skipped: this kernel has no landlock");
    }
    version.map(|version| version.parse().unwrap())
}

fn no_play() -> bool {
    if !cfg!(debug_assertions) {
        println!("skipped: a released nvmm can't be told to play one that was taken over");
    }
    !cfg!(debug_assertions)
}

/// Files and sockets outside of the machine, which a taken-over thread tries to reach.
struct Outside {
    folder: tempfile::TempDir,
    tcp: TcpListener,
    name: String,
    _abstract: UnixListener,
}

impl Outside {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "mine").unwrap();
        let name = format!("nvmm-test-landlock-{}", folder.path().display());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { folder, tcp, _abstract: UnixListener::bind_addr(&address).unwrap(), name }
    }

    /// The actions, each with the first version of landlock that refuses it, and the error.
    fn acts(&self) -> Vec<(String, u32, &'static str)> {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        vec![
            ("open".to_owned(), 1, DENIED),
            (format!("open {}", at("file")), 1, DENIED),
            (format!("create {}", at("new")), 1, DENIED),
            (format!("remove {}", at("file")), 1, DENIED),
            (format!("inet {}", self.tcp.local_addr().unwrap()), 4, DENIED),
            (format!("abstract {}", self.name), 6, NOT_PERMITTED),
            (format!("signal {}", std::process::id()), 6, NOT_PERMITTED),
        ]
    }
}

/// A machine with a thread that first performs these actions, all of which the filters allow.
fn start(kernel: &str, thread: &str, acts: &[&str], options: &[&str]) -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["disk", "sata", "input"] {
        fs::write(folder.path().join(name), [0; 1 << 16]).unwrap();
    }
    let input = File::open(folder.path().join("input")).unwrap();
    let mut command = nvmm();
    if kernel != "firmware" {
        command.arg("--kernel").arg(guest(kernel));
    }
    command.args(["--memory", "16M", "--debug-exit", "0xf4", "--sandbox", "log"]).args(options);
    command.env(FILES_KEPT, "1").env(TAKEN_OVER, format!("{thread}: {}", acts.join("; ")));
    command.current_dir(folder.path()).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    (Running::start(&mut command), folder)
}

#[test]
fn no_thread_reaches_other_files_ports_and_processes_by_calls_that_its_filter_lets_in() {
    let devices = ["--disk", "disk", "--disk", "path=sata,bus=sata", "--display", "vnc=unix:vnc"];
    let sockets = ["--gdb", "unix:gdb", "--qmp", "qmp", "--pidfile", "pid"];
    if no_kvm() || no_play() {
        return;
    }
    let Some(version) = landlock() else { return };
    let outside = Outside::new();
    let all = outside.acts();
    let acts: Vec<_> = all.iter().map(|(act, ..)| act.as_str()).collect();
    for (kernel, thread, more) in [
        ("power_off", "main", &[][..]),
        ("power_off", "spawner", &[]),
        ("power_off", "vcpu0", &[]),
        ("power_off", "machine", &["--allow-path", "."]),
        ("blk_watch", "blk0 disk", &[]),
        ("ahci", "ata0 sata", &[]),
        ("spin", "gdb", &[]),
        ("spin", "vnc", &[]),
        ("spin", "models", &[]),
        ("spin", "vnc viewer 1", &[]),
        ("echo", "stdin", &[]),
        ("hello", "serial output", &[]),
        ("vsock", "vsock", &["--rng", "off", "--vsock", "cid=77,uds=vsock"]),
    ] {
        let machines: &[&[&str]] = match thread {
            "vsock" => &[],
            "ata0 sata" => &[&devices[2..4], &sockets],
            _ => &[&devices, &sockets],
        };
        let options = [&machines.concat(), more].concat();
        let (mut nvmm, folder) = start(kernel, thread, &acts, &options);
        let connects = |name: &str| in_time(|| UnixStream::connect(folder.path().join(name)).is_ok());
        let mut client = None;
        match thread {
            "vnc viewer 1" => assert!(connects("vnc")),
            "models" => {
                assert!(connects("qmp"));
                let mut command = Command::new(env!("CARGO_BIN_EXE_nvmm"));
                command.arg("ctl").arg(folder.path().join("qmp")).arg("query-cpu-definitions");
                client = Some(Running::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
            }
            _ => {}
        }
        let stderr = nvmm.0.stderr.as_mut().unwrap();
        for (act, since, error) in &all {
            expect(stderr, &format!("nvmm: the taken over thread {thread}: {act}: "));
            let done = expect(stderr, "\n");
            if version >= *since {
                assert!(done.starts_with(error), "{thread}: {act}: {done}");
            }
        }
        drop(client);
    }
    assert_eq!(fs::read(outside.folder.path().join("file")).unwrap(), b"mine");
    assert!(!outside.folder.path().join("new").exists());
}

#[test]
fn the_thread_that_writes_uefi_variables_reaches_their_directory() {
    if no_kvm() || no_play() || landlock().is_none() {
        return;
    }
    let outside = Outside::new();
    let all = outside.acts();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut code = vec![0xf4; 1 << 16];
    code[0xfff0..0xfff3].copy_from_slice(&[0xe9, 0x0d, 0xe0]);
    fs::write(at("CODE.fd"), code).unwrap();
    fs::write(at("vars.fd"), variables::variables()).unwrap();
    let own = [format!("create {}", at("new")), format!("remove {}", at("new"))];
    let acts: Vec<_> = own.iter().chain(all.iter().map(|(act, ..)| act)).map(String::as_str).collect();
    let firmware = format!("{},vars={}", at("CODE.fd"), at("vars.fd"));
    let (mut nvmm, _folder) = start("firmware", "variables", &acts, &["--firmware", &firmware]);
    let stderr = nvmm.0.stderr.as_mut().unwrap();
    for act in &own {
        expect(stderr, &format!("nvmm: the taken over thread variables: {act}: Ok(())\n"));
    }
    for act in &acts[2..6] {
        expect(stderr, &format!("nvmm: the taken over thread variables: {act}: {DENIED}"));
    }
}

/// The image of a CD.
fn image(path: &Path) {
    let mut bytes = vec![0; 1 << 16];
    bytes[1 << 15..(1 << 15) + 6].copy_from_slice(b"\x01CD001");
    fs::write(path, bytes).unwrap();
}

#[test]
fn commands_reach_only_what_allow_path_gives_them() {
    if no_kvm() || landlock().is_none() {
        return;
    }
    let other = tempfile::tempdir().unwrap();
    let (medium, picture) = (other.path().join("other.iso"), other.path().join("picture.ppm"));
    image(&medium);
    fs::write(&picture, "mine").unwrap();
    let options = ["--display", "vga", "--cdrom", "none"];
    let mut machine = Machine::start("spin", &[&options[..], &["--allow-path", "."]].concat());
    let own = machine.folder.path().to_owned();
    image(&own.join("own.iso"));
    symlink(&picture, own.join("link")).unwrap();
    let mut client = machine.client();
    let at = |name: &str| other.path().join(name);
    // Created, and then replaced.
    for _ in 0..2 {
        client.call("screendump", &json!({"filename": "own.ppm"})).unwrap();
        client.call("pmemsave", &json!({"val": 0, "size": 4096, "filename": "own.memory"})).unwrap();
        client.call("blockdev-change-medium", &json!({"id": "cdrom", "filename": "own.iso"})).unwrap();
        client.call("dump-guest-memory", &json!({"paging": false, "protocol": "file:own.core"})).unwrap();
    }
    client.call("nvmm-snapshot-save", &json!({"directory": "saved"})).unwrap();
    assert!(own.join("saved/machine.json").exists());
    for (command, arguments) in [
        ("screendump", json!({"filename": picture})),
        ("screendump", json!({"filename": "link"})),
        ("pmemsave", json!({"val": 0, "size": 4096, "filename": at("memory")})),
        ("memsave", json!({"val": 0, "size": 4096, "filename": at("memory")})),
        ("dump-guest-memory", json!({"paging": false, "protocol": format!("file:{}", at("core").display())})),
        ("blockdev-change-medium", json!({"id": "cdrom", "filename": medium})),
        ("nvmm-snapshot-save", json!({"directory": at("saved")})),
    ] {
        let error = client.call(command, &arguments).unwrap_err();
        assert!(
            error.contains("; commands reach only what --allow-path gives them: ."),
            "{command}: {error}"
        );
        let path = if arguments["filename"] == "link" { "link" } else { other.path().to_str().unwrap() };
        assert!(error.contains(path), "{command}: {error}");
    }
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 2);
    assert_eq!(fs::read(&picture).unwrap(), b"mine");
    // An error that has another cause gets no advice about the sandbox.
    let missing = client.call("blockdev-change-medium", &json!({"id": "cdrom", "filename": "none"}));
    assert!(!missing.unwrap_err().contains("--allow-path"));

    // A reset and the end need no more access than that.
    client.call("eject", &json!({"id": "cdrom"})).unwrap();
    client.call("system_reset", &json!({})).unwrap();
    assert!(in_time(|| client.hear()["event"] == json!("RESET")));
    client.call("screendump", &json!({"filename": "after.ppm"})).unwrap();
    client.call("quit", &json!({})).unwrap();
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
    assert!(!machine.socket.exists());
    assert!(!expect_end(machine.process().stderr.as_mut().unwrap()).contains("sandbox"));
}

#[test]
fn without_the_option_commands_reach_all_and_one_file_can_be_allowed() {
    if no_kvm() {
        return;
    }
    let other = tempfile::tempdir().unwrap();
    let (medium, picture) = (other.path().join("other.iso"), other.path().join("picture.ppm"));
    image(&medium);
    let folder = other.path().to_str().unwrap();
    let options = ["--display", "vga", "--cdrom", "none"];
    for more in [&[][..], &["--allow-path", folder], &["--allow-path", "/nowhere", "--sandbox", "off"]] {
        let machine = Machine::start("spin", &[&options[..], more].concat());
        let mut client = machine.client();
        client.call("screendump", &json!({"filename": picture})).unwrap();
        client.call("blockdev-change-medium", &json!({"id": "cdrom", "filename": medium})).unwrap();
        fs::remove_file(&picture).unwrap();
    }
    let core = other.path().join("core");
    fs::write(&core, "").unwrap();
    fs::write(&picture, "an old picture").unwrap();
    let allowed = ["--allow-path", core.to_str().unwrap(), "--allow-path", picture.to_str().unwrap()];
    let machine = Machine::start("spin", &[&allowed[..], &["--display", "vga"]].concat());
    let mut client = machine.client();
    let protocol = format!("file:{}", core.display());
    client.call("dump-guest-memory", &json!({"paging": false, "protocol": protocol})).unwrap();
    assert!(fs::read(core).unwrap().starts_with(b"\x7fELF"));
    // No draft can be made beside it.
    client.call("screendump", &json!({"filename": picture})).unwrap();
    assert!(fs::read(&picture).unwrap().starts_with(b"P6"));
    let output =
        nvmm().arg("--kernel").arg(guest("spin")).args(["--allow-path", "/nowhere"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    if landlock().is_some() {
        assert!(said.contains("--allow-path /nowhere: No such file"), "{said}");
        assert_eq!(output.status.code(), Some(1));
    }
    let mut free = nvmm();
    free.arg("--kernel").arg(guest("power_off")).args(["--allow-path", folder, "--sandbox", "off"]);
    let said = String::from_utf8(free.output().unwrap().stderr).unwrap();
    assert!(said.contains("--allow-path: commands reach all files, with --sandbox off"), "{said}");
}

/// The machine's own disks are recognized, and the directory of the snapshot at its end is always allowed.
#[test]
fn disks_overlays_and_the_snapshot_at_the_end_are_reached() {
    if no_kvm() || landlock().is_none() {
        return;
    }
    let other = tempfile::tempdir().unwrap();
    let at = |name: &str| other.path().join(name).display().to_string();
    fs::write(at("base"), [0; 1 << 16]).unwrap();
    let mut create = nvmm();
    create
        .args(["disk", "create", "-f", "qcow2", "-b", "base", "-F", "raw", "top.qcow2"])
        .current_dir(other.path());
    let made = create.output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let disk = format!("path={},format=qcow2", at("top.qcow2"));
    let over = format!("path={},format=raw,overlay={}", at("base2"), at("over.qcow2"));
    fs::write(at("base2"), [0; 1 << 16]).unwrap();
    let options = ["--disk", &disk, "--disk", &over, "--snapshot-on-exit", &at("saved"), "--allow-path", "."];
    let mut machine = Machine::start("spin", &options);
    let mut client = machine.client();
    symlink(at("base"), machine.folder.path().join("link")).unwrap();
    let error = client.call("pmemsave", &json!({"val": 0, "size": 4096, "filename": "link"})).unwrap_err();
    assert!(error.contains("that is a file of --disk"), "{error}");
    client.call("quit", &json!({})).unwrap();
    let status = machine.nvmm.status_in_time();
    assert_eq!(status, Some(0), "{}", expect_end(machine.process().stderr.as_mut().unwrap()));
    let saved = fs::read_to_string(at("saved/machine.json")).unwrap();
    for name in ["top.qcow2", "base", "base2", "over.qcow2"] {
        assert!(saved.contains(&format!("\"{}\"", at(name))), "{name}: {saved}");
    }
}

#[test]
fn the_paths_are_in_the_new_root_and_in_the_background_too() {
    const NOBODY: u32 = 65533;
    if no_kvm() || landlock().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["inner", "other"] {
        fs::create_dir(at(name)).unwrap();
    }
    let mut options = vec!["--daemonize", "--pidfile", "pid", "--display", "vga", "--qmp", "qmp"];
    let jailed = geteuid().is_root();
    if jailed {
        for name in ["", "inner", "other"] {
            chown(at(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        options.extend(["--user", "65533:65533", "--chroot", ".", "--allow-path", "/inner"]);
    } else {
        println!("partly skipped: only root can change its root directory");
        options.extend(["--allow-path", "inner"]);
    }
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("spin")).args(["--memory", "16M"]).args(&options);
    let output = command.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut client = control::Client::begin(&at("qmp"));
    let path = |name: &str| if jailed { format!("/{name}") } else { at(name).display().to_string() };
    let allowed = client.call("screendump", &json!({"filename": path("inner/picture.ppm")}));
    let refused = client.call("screendump", &json!({"filename": path("other/picture.ppm")}));
    client.call("quit", &json!({})).unwrap();
    assert!(in_time(|| !at("pid").exists() && !at("qmp").exists()), "both are removed");
    allowed.unwrap();
    assert!(refused.unwrap_err().contains("--allow-path"));
    assert!(at("inner/picture.ppm").exists() && !at("other/picture.ppm").exists());
}

/// nvmm opens the terminal again to check for output that its last reader has not read.
#[test]
fn the_reader_of_a_pseudoterminal_gets_the_last_bytes() {
    if no_kvm() {
        return;
    }
    let expected = run("hello", &[]);
    let mut machine = Machine::start("hello", &["--serial", "pty=link", "--paused"]);
    let mut client = machine.client();
    let link = machine.folder.path().join("link");
    assert!(in_time(|| link.exists()));
    let mut terminal = File::options().read(true).write(true).open(link).unwrap();
    client.call("cont", &json!({})).unwrap();
    // The guest has ended, and nvmm waits for the terminal's reader.
    let task = format!("/proc/{}/task", machine.process().id());
    let is_vcpu = |task: fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("vcpu"))
    };
    assert!(in_time(|| !fs::read_dir(&task).is_ok_and(|all| all.flatten().any(is_vcpu))));
    std::thread::sleep(std::time::Duration::from_millis(500));
    let mut all = Vec::new();
    let mut bytes = [0; 64];
    // An error means that nvmm has ended.
    while let Ok(len @ 1..) = terminal.read(&mut bytes) {
        all.extend(&bytes[..len]);
    }
    assert_eq!(String::from_utf8_lossy(&all), String::from_utf8_lossy(&expected.stdout));
    assert_eq!(machine.nvmm.status_in_time(), expected.status.code());
}
