//! A disk and a CD-ROM drive on an AHCI controller.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use support::{Running, expect, guest, no_kvm, nvmm};
use tempfile::TempDir;

const SECTOR: usize = 512;
const BLOCK: usize = 2048;

/// An image of a CD with this many blocks.
fn cd(path: &Path, blocks: usize) -> PathBuf {
    let mut bytes = vec![0; blocks * BLOCK];
    bytes[16 * BLOCK..16 * BLOCK + 6].copy_from_slice(b"\x01CD001");
    fs::write(path, bytes).unwrap();
    path.to_owned()
}

fn ctl(socket: &Path, words: &[&str]) -> Output {
    nvmm().arg("ctl").arg(socket).args(words).output().unwrap()
}

fn ctl_text(socket: &Path, words: &[&str]) -> String {
    let output = ctl(socket, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(socket: &Path, words: &[&str]) -> String {
    let output = ctl(socket, words);
    assert!(!output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn machine(folder: &Path, more: &[&str]) -> Command {
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("ahci")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command.args(["--disk", &format!("path={},bus=sata,serial=a1", folder.join("disk").display())]);
    command.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_guest_uses_a_disk_and_a_drive_whose_medium_is_changed() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("disk"), vec![0; 1 << 20]).unwrap();
    let (first, second) = (cd(&at("first.iso"), 100), cd(&at("second.iso"), 200));
    let socket = at("qmp");
    let shown = |path: &Path| path.to_str().unwrap().to_owned();
    let options = ["--qmp", &shown(&socket), "--cdrom", &shown(&first)];
    let mut running = Running::start(&mut machine(folder.path(), &options));
    let mut stdin = running.0.stdin.take().unwrap();
    let mut stdout = running.0.stdout.take().unwrap();
    let seen = expect(&mut stdout, "block 1 43 44\n");
    let expected = "ahci 29228086
signatures 101 eb140101
identified 1: 800 sectors
interrupt 1 then 0
written 1
flushed 1
read 1 same 1
past the end 0
sense 6 29 0
medium 63 800
block 1 43 44
";
    assert_eq!(seen, expected);
    let disk = fs::read(at("disk")).unwrap();
    for sector in 0..2048_u64 {
        let at = usize::try_from(sector).unwrap() * SECTOR;
        let first = u64::from_le_bytes(disk[at..at + 8].try_into().unwrap());
        assert_eq!(first, if (8..72).contains(&sector) { sector } else { 0 });
    }

    let blocks = ctl_text(&socket, &["info block"]);
    assert!(
        blocks.contains("cdrom: ") && blocks.contains("Removable device: not locked, tray closed"),
        "{blocks}"
    );
    assert!(ctl_text(&socket, &["info pci"]).contains("8086:2922"));

    ctl_text(&socket, &["eject", "device=cdrom"]);
    stdin.write_all(b"?").unwrap();
    assert_eq!(expect(&mut stdout, "\n"), "sense 2 3a 2\n");
    let blocks = ctl_text(&socket, &["info block"]);
    assert!(
        blocks.contains("cdrom: [not inserted]\n    Removable device: not locked, tray open"),
        "{blocks}"
    );

    let change = |path: &Path| format!("filename={}", path.display());
    ctl_text(&socket, &["blockdev-change-medium", "device=cdrom", &change(&second)]);
    stdin.write_all(b"?").unwrap();
    assert_eq!(expect(&mut stdout, "44\n"), "sense 6 28 0\nmedium c7 800\nblock 1 43 44\n");

    // A medium that the guest has locked is removed only by force.
    stdin.write_all(b"l").unwrap();
    expect(&mut stdout, "locked 1\n");
    stdin.write_all(b"o").unwrap();
    expect(&mut stdout, "opened 0\n");
    let why = refusal(&socket, &["eject", "device=cdrom"]);
    assert!(why.contains("the guest has locked it"), "{why}");
    ctl_text(&socket, &["eject", "device=cdrom", "force=true"]);

    // A failed command changes nothing.
    let missing = refusal(&socket, &["blockdev-change-medium", "device=cdrom", &change(&at("none"))]);
    assert!(missing.contains("none"), "{missing}");
    fs::write(at("odd"), vec![0; 3 * BLOCK + SECTOR]).unwrap();
    let odd = refusal(&socket, &["blockdev-change-medium", "device=cdrom", &change(&at("odd"))]);
    assert!(odd.contains("no CD's blocks"), "{odd}");
    assert!(
        [&missing, &odd].iter().all(|why| !why.contains("--cdrom:") && !why.contains("--cdrom /")),
        "no option was given: {odd}"
    );
    let disk = refusal(&socket, &["eject", &format!("device={}", at("disk").display())]);
    assert!(disk.contains("has no medium that can be taken out"), "{disk}");
    assert!(refusal(&socket, &["eject", "device=other"]).contains("Device 'other' not found"));

    ctl_text(&socket, &["blockdev-change-medium", "id=cdrom", &change(&first)]);
    stdin.write_all(b"?").unwrap();
    assert_eq!(expect(&mut stdout, "44\n"), "sense 6 28 0\nmedium 63 800\nblock 1 43 44\n");
    stdin.write_all(b"q").unwrap();
    assert_eq!(running.status(), Some(1));
    let mut said = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn unsuitable_sata_disks_and_cds_are_refused() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("disk"), vec![0; 1 << 20]).unwrap();
    fs::write(at("odd"), vec![0; 1000]).unwrap();
    let disk = at("disk").display().to_string();
    let (odd, missing) = (at("odd").display().to_string(), at("missing").display().to_string());
    for (options, why) in [
        (["--disk".to_owned(), format!("path={disk},bus=sata,queues=2")], "a SATA disk has one queue"),
        (["--disk".to_owned(), format!("path={disk},bus=sata,queue-size=8")], "a SATA disk has one queue"),
        (["--disk".to_owned(), format!("path={disk},bus=sata,readonly=on")], "can't be read-only"),
        (["--disk".to_owned(), format!("path={disk},bus=ide")], "bus=ide: give virtio or sata"),
        (["--disk".to_owned(), format!("path={disk},id=cdrom")], "another disk has the id 'cdrom'"),
        (["--cdrom".to_owned(), odd], "1024 bytes are no CD's blocks of 2048"),
        (["--cdrom".to_owned(), missing], "missing"),
    ] {
        let mut command = nvmm();
        command.args(["--kernel"]).arg(guest("ahci")).args(["--dry-run"]).args(&options);
        if options[0] == "--disk" {
            command.args(["--cdrom", "none"]);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{options:?}: {said}");
    }
}

#[test]
fn many_disks_share_controllers() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("ahci")).args(["--dry-run", "--rng", "off"]);
    for number in 0..8 {
        let path = folder.path().join(format!("disk{number}"));
        fs::write(&path, vec![0; 1 << 20]).unwrap();
        command.args(["--disk", &format!("path={},bus=sata", path.display())]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let controllers: Vec<_> = said.lines().filter(|line| line.contains("ahci [8086:2922]")).collect();
    assert_eq!(controllers.len(), 2, "{said}");
    for (controller, disks) in [(0, 0..6), (1, 6..8)] {
        for disk in 0..8 {
            let named = controllers[controller].contains(&format!("disk{disk}"));
            assert_eq!(named, disks.contains(&disk), "{controllers:?}");
        }
    }
}
