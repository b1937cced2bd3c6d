//! A machine's disks as a user sees them: their names, their statistics, and their growth.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    ffi::OsStr,
    fs::File,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{ChildStderr, ChildStdout, Command, Stdio},
};

use devices::disk::raw::{DiskOptions, RawDisk};
use rustix::process::{Pid, Signal, kill_process};
use support::{Running, expect, expect_end, guest, no_kvm, nvmm, run};
use vmm::{
    cloud_init::{Given, Identity, Seed},
    stats::Stats,
};

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
    let stats = folder.path().join("stats");
    let mut machine = Watching::start(&["--disk", &first, "--disk", path(&second), "--stats", path(&stats)]);
    let mut counted = 0;
    for _ in 0..2 {
        machine.signal(Signal::USR1);
        let mut line = expect(&mut machine.stderr, "\n");
        // After the totals of the previous signal, if this KVM counts exits.
        if line.starts_with("nvmm: KVM counted ") {
            counted += 1;
            line = expect(&mut machine.stderr, "\n");
        }
        assert_eq!(line, format!("nvmm: disk root: {USED}\n"));
        let line = expect(&mut machine.stderr, "\n");
        assert_eq!(line, format!("nvmm: disk {}: {IDLE}\n", path(&second)));
    }
    machine.signal(Signal::INT);
    assert_eq!(machine.nvmm.status(), Some(130));
    let stats: Stats = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    assert_eq!(counted, usize::from(!stats.vcpus.is_empty()));

    let mut machine = Watching::start(&["--disk", &first, "-v"]);
    machine.signal(Signal::INT);
    // Among the other messages of -v.
    expect(&mut machine.stderr, &format!("nvmm: disk root: {USED}\n"));
    assert_eq!(machine.nvmm.status(), Some(130));
}

#[test]
fn sighup_notifies_the_guest_of_a_disk_that_has_grown() {
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

    // A disk can't shrink.
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
fn a_driver_from_before_virtio_1_0_uses_a_transitional_disk() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = disk(folder.path(), "image");
    let output = run("blk_legacy", &["-v", "--disk", &format!("path={},legacy=on", path(&image))]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(43), "{stderr}");
    let expected = "device 10011af4, subsystem 21af4, revision 0, 800 sectors\n\
                    early 0 0\n\
                    address 403, size 100, status 7\n\
                    flush 0\n\
                    pending 1 0\n\
                    page 1000: status 3, needs reset\n\
                    page 100000: status 3, needs reset\n\
                    page ffffffff: status 3, needs reset\n\
                    again 0 7\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert!(!stderr.contains("KVM takes no more"), "{stderr}");
    let written: Vec<_> = (0..200).flat_map(|sector| [sector; 512]).collect();
    assert!(std::fs::read(&image).unwrap().starts_with(&written));

    // It also works as a modern device, whatever its first BAR is.
    let output = run("blk_write", &["--disk", &format!("path={},disable-legacy=off", path(&image))]);
    let written = "near 0\nfar 0\nnear again 0\nflush 0\nread far 0\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), written);
}

#[test]
fn unsafe_caching_gives_a_warning() {
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

/// The ring needs disks whose bytes are in one file at the same offsets as for the guest.
#[test]
fn an_unsuitable_engine_is_reported() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = disk(folder.path(), "image");
    let option = format!("path={},overlay=temp,aio=io_uring,id=top", path(&image));
    let output = run("blk_write", &["--disk", &option]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "nvmm: disk top: io_uring is for raw disks; on others threads do the I/O\n");
}

#[test]
fn a_dry_run_describes_the_disks_and_creates_nothing() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (raw, over) = (disk(folder.path(), "raw"), folder.path().join("over"));
    let first =
        format!("path={},overlay={},id=root,queues=2,iops=50,bw=1G,serial=S1", path(&raw), path(&over));
    let second = disk(folder.path(), "second");
    let options =
        ["--dry-run", "--smp", "3", "--disk", &first, "--disk", &format!("{},readonly=on", path(&second))];
    let output = run("hello", &options);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    let disks = text.split("\nDisks\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let expected = format!(
        "  root ({}): raw, 1 MiB, written to {}\n    \
         2 queues of 256, aio=auto, cache=writeback, discard=on, direct=off, blocks of 512 (physical 4096), \
         at most 50 requests/s, at most 1 GiB/s, serial 'S1'\n  \
         {}: raw, 1 MiB, read-only\n    \
         3 queues of 256, aio=auto, cache=writeback, discard=on, direct=off, blocks of 512 (physical 4096)",
        path(&raw),
        path(&over),
        path(&second)
    );
    assert_eq!(disks, expected);
    assert!(!over.exists());

    let output = run("hello", &[&options[..], &["--json"]].concat());
    let machine: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let disks = &machine["disks"];
    assert_eq!((&disks[0]["format"], &disks[0]["size"]), (&"raw".into(), &(1 << 20).into()));
    assert_eq!((&disks[0]["name"], &disks[0]["overlay"]), (&"root".into(), &path(&over).into()));
    assert_eq!((&disks[1]["queues"], &disks[1]["read_only"]), (&3.into(), &true.into()));
}

/// The guest reads the options from the seed disk, and can't write to it.
#[test]
fn cloud_inits_seed_is_a_disk_in_memory() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let wishes = folder.path().join("wishes");
    std::fs::write(&wishes, "users: []\n").unwrap();
    let files = format!("user-data={}", path(&wishes));
    let options = ["--cloud-init", &files, "--hostname", "web1", "--rng", "off"];

    let given = Given { user_data: Some(b"users: []\n".to_vec()), ..Given::default() };
    let identity = Identity { hostname: Some("web1".to_owned()), ..Identity::default() };
    let image = Seed::new(given, &identity).image().unwrap();
    let words = image.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let sum = words.fold(0_u64, |sum, word| sum.rotate_left(1) ^ word);
    let output = run("blk_read", &options);
    // VIRTIO_BLK_S_IOERR.
    let expected = format!("sectors {:x} failed 0 sum {sum:x}\nbehind 1 write 1\n", image.len() / 512);
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(1));
    let warning = format!(
        "nvmm: --cloud-init: {} begins neither with #cloud-config nor with #!, nor as other user-data does; cloud-init \
         ignores it\n",
        path(&wishes)
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), warning);

    let output = run("hello", &[&options[..], &["--dry-run", "--json"]].concat());
    let machine: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let seed = &machine["disks"][0];
    assert_eq!((&seed["name"], &seed["path"]), (&"cloud-init".into(), &serde_json::Value::Null));
    assert_eq!((&seed["read_only"], &seed["size"]), (&true.into(), &image.len().into()));
    let output = run("hello", &[&options[..], &["--dry-run"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    for line in ["  cloud-init: raw, 128 KiB, read-only", "user-data, meta-data"] {
        assert!(text.contains(&format!("{line}\n")), "{text}");
    }

    // The guest may have no driver for virtio.
    let image = folder.path().join("a.img");
    std::fs::write(&image, vec![0; 1 << 20]).unwrap();
    let sata = format!("path={},bus=sata", path(&image));
    let output = run("hello", &[&options[..], &["--disk", &sata, "--dry-run"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("  cloud-init: raw, 128 KiB, read-only\n    bus=sata, "), "{text}");
    assert!(text.contains("ahci [8086:2922]") && !text.contains("[1af4:1042]"), "{text}");

    // The guest can't overwrite the data that it is given.
    let output = run("hello", &["--cloud-init", &files, "--serial", &format!("file={}", path(&wishes))]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(&wishes).unwrap(), b"users: []\n");
}

#[test]
fn an_overlay_takes_what_is_written() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, over) = (disk(folder.path(), "image"), folder.path().join("over"));
    let before = std::fs::read(&image).unwrap();
    for overlay in ["temp", path(&over)] {
        let output = run("blk_write", &["--disk", &format!("path={},overlay={overlay}", path(&image))]);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let written = "near 0\nfar 0\nnear again 0\nflush 0\nread far 0\n";
        assert_eq!(String::from_utf8_lossy(&output.stdout), written);
        assert!(std::fs::read(&image).unwrap() == before);
    }
    assert!(over.exists());
}

#[test]
fn errors_found_only_on_an_open_disk() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let vmdk = folder.path().join("disk.vmdk");
    let created = Command::new("qemu-img").args(["create", "-q", "-f", "vmdk", path(&vmdk), "1M"]).status();
    if !created.as_ref().is_ok_and(std::process::ExitStatus::success) {
        return println!("skipped: qemu-img: {created:?}");
    }
    let output = run("hello", &["--disk", &format!("{},direct=on", path(&vmdk))]);
    assert_eq!(output.status.code(), Some(1));
    let why = "vmdk images are read through the page cache; leave direct=on out";
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, format!("nvmm: disk {}: {why}\n", path(&vmdk)));

    let output = run("hello", &["--disk", &format!("{},id=old", path(&vmdk))]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.starts_with("nvmm: disk old: vmdk images are never written to"), "{stderr}");

    let raw = disk(folder.path(), "raw");
    let output = run("hello", &["--disk", &format!("{},backing-root=/nowhere", path(&raw))]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.ends_with("a raw image names no other files; backing-root means nothing to it\n"),
        "{stderr}"
    );
}

/// Statistics are not written over the machine's own disk, its disk's base or its kernel.
#[test]
fn an_output_is_written_over_no_disk() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (raw, base, free) =
        (disk(folder.path(), "raw"), disk(folder.path(), "base"), disk(folder.path(), "free"));
    let over = format!("path={},overlay={}", path(&base), path(&folder.path().join("top")));
    for output in [&raw, &base, &folder.path().join("top")] {
        let serial = format!("file={}", path(output));
        for option in [["--stats", path(output)], ["--serial", &serial]] {
            let disks = ["--disk", path(&raw), "--disk", &over];
            let said = run("power_off", &[&disks[..], &option[..]].concat());
            let stderr = String::from_utf8(said.stderr).unwrap();
            assert_eq!(said.status.code(), Some(1), "{stderr}");
            let named = format!("{}: that is a file of --disk {}", path(output), path(folder.path()));
            assert!(
                stderr.contains(&named) && stderr.starts_with(&format!("nvmm: {}", option[0])),
                "{stderr}"
            );
            assert!(output.metadata().unwrap().len() > 0);
        }
    }
    // A disk used by another program, and a log that a shell appends to a disk.
    let user = RawDisk::open(&free, &DiskOptions { read_only: true, direct: false }).unwrap();
    let said = run("power_off", &["--stats", path(&free)]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("is a disk image in use by "));
    assert_eq!((said.status.code(), free.metadata().unwrap().len()), (Some(1), 1 << 20));
    drop(user);
    let log = File::options().append(true).open(&raw).unwrap();
    let mut command = nvmm();
    command
        .arg("--kernel")
        .arg(guest("power_off"))
        .args(["--memory", "16M", "--disk", path(&raw)])
        .stdout(log);
    let said = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&said.stderr);
    assert!(stderr.starts_with("nvmm: standard output, ") && stderr.contains("a file of --disk"), "{stderr}");
    assert_eq!((said.status.code(), raw.metadata().unwrap().len()), (Some(1), 1 << 20));
    // A file that is not in use.
    let said = run("power_off", &["--disk", path(&raw), "--stats", path(&free), "--serial", "null"]);
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(std::fs::read_to_string(&free).unwrap().contains("exits"));
}

/// Not UTF-8, with a comma and with terminal control characters.
#[test]
fn a_path_is_any_bytes() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"b\xe4se,\x1b[31m.img");
    File::create(folder.path().join(name)).unwrap().set_len(1 << 20).unwrap();
    for (json, part) in [(false, "b\\xe4se,\\x1b[31m.img"), (true, "b\u{fffd}se,\\u001b[31m.img")] {
        let mut command = nvmm();
        command.current_dir(&folder).arg("--kernel").arg(guest("power_off")).args([
            "--memory",
            "16M",
            "--dry-run",
        ]);
        command
            .args(json.then_some("--json"))
            .arg("--disk")
            .arg(OsStr::from_bytes(b"b\xe4se,,\x1b[31m.img,readonly=on"));
        let said = command.output().unwrap();
        let stdout = String::from_utf8(said.stdout).unwrap();
        assert!(stdout.contains(part), "{stdout}{}", String::from_utf8_lossy(&said.stderr));
        assert!(stdout.bytes().all(|byte| byte == b'\n' || byte >= b' '), "{stdout:?}");
    }
}

/// 1 TiB is in flight: waiting for it would take minutes.
#[test]
fn much_in_flight_holds_up_neither_a_reset_nor_the_end() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    // The guest can tell from the first byte of the data that a request is being processed.
    std::fs::write(&image, [1; 512]).unwrap();
    File::options().write(true).open(&image).unwrap().set_len(4 << 30).unwrap();
    for aio in ["io_uring", "threads"] {
        if aio == "io_uring" && devices::block::check_io_uring().is_err() {
            println!("skipped: no io_uring");
            continue;
        }
        let mut command: Command = nvmm();
        command.arg("--kernel").arg(guest("blk_flood")).args(["--memory", "16M"]);
        command.arg("--disk").arg(format!("path={},aio={aio}", path(&image)));
        let mut nvmm = Running::start(command.stdout(Stdio::piped()));
        let mut stdout = nvmm.0.stdout.take().unwrap();
        assert_eq!(expect(&mut stdout, "flooded again\n"), "flooded\nreset\nflooded again\n");
        // With a pause in between, so that the second is taken as a new request.
        for _ in 0..2 {
            kill_process(Pid::from_child(&nvmm.0), Signal::TERM).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1200));
        }
        assert_eq!(expect_end(&mut stdout), "", "{aio}");
        assert_eq!(nvmm.status(), Some(143), "{aio}");
    }
}

#[test]
fn a_machine_warns_once_of_a_raw_disk_with_the_name_of_another_format() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let named = disk(folder.path(), "vm.qcow2");
    let overlay = format!("path={},overlay=temp", path(&named));
    let meant = format!("path={},format=raw", path(&named));
    for (option, warnings) in [(path(&named), 1), (overlay.as_str(), 1), (meant.as_str(), 0)] {
        let output = run("power_off", &["--disk", option]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let count = stderr.matches("vm.qcow2 is named as a qcow2 image, but does not begin as one").count();
        assert_eq!((output.status.code(), count), (Some(0), warnings), "{option}: {stderr}");
    }
}
