//! Peers that disappear in the middle of something: clients, viewers, readers, and the file of a disk.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    control::{Client, Machine},
    images::{Image, ImageKind, no_qemu_img},
    support::{Running, expect, guest, in_time, no_kvm, nvmm},
};

/// The number of visitors of each kind.
const PEERS: usize = 60;

/// The beginnings of commands, and a whole command whose answer is not awaited.
const COMMANDS: [&str; 4] = [
    "",
    r#"{"execute": "qmp_cap"#,
    r#"{"execute": "qmp_capabilities"}{"execute": "query-status"}{"execute": "query-cpu-definitions"}"#,
    r#"{"execute": "qmp_capabilities"}{"execute": "stop"}{"execute": "cont"}{"execute": "nvmm-registers"}"#,
];

/// The data that viewers send before they go: nothing, a part of the handshake, and a request for the whole picture, which is not read.
const VIEWERS: [&[u8]; 3] =
    [b"", b"RFB 003.008\n\x01", b"RFB 003.008\n\x01\x01\x03\x00\x00\x00\x00\x00\xff\xff\xff\xff"];

/// The number of a process's descriptors, and the names of its threads.
fn holdings(nvmm: &Running) -> (usize, Vec<String>) {
    let folder = format!("/proc/{}", nvmm.0.id());
    let entries = |name| fs::read_dir(format!("{folder}/{name}")).unwrap().flatten();
    // A thread that ends meanwhile has no name.
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    let mut threads: Vec<_> = entries("task").filter_map(name).collect();
    threads.sort();
    (entries("fd").count(), threads)
}

#[test]
fn peers_that_go_in_the_middle_leave_nothing_and_do_no_harm() {
    if no_kvm() {
        return;
    }
    // Its first message starts a thread.
    let mut options = vec!["-v", "--serial", "stdio", "--serial", "unix=com2,server", "--gdb", "unix:gdb"];
    if cfg!(feature = "vnc") {
        options.extend(["--display", "vnc=unix:vnc"]);
    }
    let mut machine = Machine::start("echo", &options);
    machine.prints("ready\n");
    let before = holdings(&machine.nvmm);
    let path = |name: &str| machine.folder.path().join(name);
    for number in 0..PEERS {
        visit(&path("qmp"), COMMANDS[number % COMMANDS.len()].as_bytes());
        visit(&path("com2"), b"nobody reads COM2");
        visit(&path("gdb"), if number % 2 == 0 { b"$qSupported#37+$?#3f" } else { b"$vCont;c" });
        if cfg!(feature = "vnc") {
            visit(&path("vnc"), VIEWERS[number % VIEWERS.len()]);
        }
    }
    // Their requests are all carried out, and then nothing of them is left.
    let settled = in_time(|| holdings(&machine.nvmm) == before);
    assert!(settled, "{:?}, and {before:?} before", holdings(&machine.nvmm));
    // The last visitors may still be connected, and then there are too many clients for a moment.
    let mut client = None;
    assert!(in_time(|| {
        client = Client::try_begin(&machine.socket);
        client.is_some()
    }));
    let mut client = client.unwrap();
    // The last debugger may still be connected, and stops the machine until nvmm notices that it has gone.
    assert!(in_time(|| client.call("query-status", &json!({})).unwrap()["running"] == json!(true)));
    machine.process().stdin.as_mut().unwrap().write_all(b"abc").unwrap();
    machine.prints("abc");
    client.call("quit", &json!({})).unwrap();
    assert_eq!(machine.nvmm.status_in_time(), Some(0));
}

/// Connects, sends something, and closes without reading.
fn visit(path: &Path, words: &[u8]) {
    let mut socket = UnixStream::connect(path).unwrap();
    // Fails if another client is connected, as this one is then not read.
    let _ = socket.write_all(words);
}

/// stdout and stderr have no readers any more, and writing to them does not end nvmm.
#[test]
fn readers_that_go_stop_nothing() {
    if no_kvm() {
        return;
    }
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("flood")).args(["--memory", "16M", "--cmdline", "a", "-vv"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut nvmm = Running::start(&mut command);
    expect(nvmm.0.stdout.as_mut().unwrap(), "\n");
    drop(nvmm.0.stdout.take());
    drop(nvmm.0.stderr.take());
    nvmm.0.stdin.as_mut().unwrap().write_all(b".").unwrap();
    assert_eq!(nvmm.status_in_time(), Some(0));
}

/// A file that is truncated while a guest uses it. Its requests are answered, with errors or not, and nvmm logs only a few lines about it.
#[test]
fn an_image_that_is_cut_fails_requests_and_nothing_else() {
    for (kind, options, cut) in [
        (ImageKind::Qcow2, "", "disk"),
        (ImageKind::Qcow2, ",bus=sata", "disk"),
        (ImageKind::OverlayOfRaw, "", "disk"),
        (ImageKind::OverlayOfRaw, "", "base"),
        (ImageKind::OverlayOfVmdk, "", "base"),
        (ImageKind::Raw, ",bus=sata", "disk"),
    ] {
        if no_kvm() || no_qemu_img(kind) {
            return;
        }
        for len in [0, 512, 70_000] {
            cut_image(kind, options, cut, len);
        }
    }
}

fn cut_image(kind: ImageKind, options: &str, cut: &str, len: u64) {
    let what = format!("{kind:?}{options}: {cut} of {len} bytes");
    let folder = TempDir::new().unwrap();
    let image = Image::new(kind, folder.path(), "4k");
    let mut nvmm = Running::start(&mut durable(&image, options));
    let mut stdin = nvmm.0.stdin.take().unwrap();
    let mut stdout = nvmm.0.stdout.take().unwrap();
    expect(&mut stdout, "ready\n");
    let mut round = |times: u32| {
        for _ in 0..times {
            stdin.write_all(b"s").unwrap();
            expect(&mut stdout, "\n");
        }
    };
    round(3);
    File::options().write(true).open(folder.path().join(cut)).unwrap().set_len(len).unwrap();
    round(20);
    stdin.write_all(b"q").unwrap();
    assert_eq!(nvmm.status_in_time(), Some(1), "{what}");
    let mut said = String::new();
    nvmm.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!said.contains("panicked") && said.lines().count() <= 4, "{what}: {said}");
    println!("{what}: {said}");
}

/// A machine with the guest `blk_durable`, which does a round on request.
fn durable(image: &Image, options: &str) -> Command {
    let bus = if options.contains("bus=sata") { "a" } else { "" };
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("blk_durable")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command.args(["--disk", &format!("{}{options}", image.option()), "--cmdline", &format!("1sr{bus}")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
