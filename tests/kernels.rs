//! Kernels of every kind are entered at the right address, and a reset boots the files that were opened at the start.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{ChildStdout, Stdio},
    time::{Duration, SystemTime},
};

use support::{Running, expect, guest, no_kvm, nvmm};
use tempfile::TempDir;

/// The address at which the ELF files made here begin, and their exit values, which depend on the entry that was used.
const START: u32 = 0x100_0000;
const PVH_OFFSET: u32 = 0x100;
const PVH: u8 = 0x10;
const LINUX_64: u8 = 0x20;

/// A page that writes to the debug-exit port, with a different value at each entry: `mov al, value; out 0xf4, al; hlt`.
fn program() -> Vec<u8> {
    let code = |value| [0xb0, value, 0xe6, 0xf4, 0xf4];
    let mut page = vec![0; 0x1000];
    page[..5].copy_from_slice(&code(LINUX_64));
    page[PVH_OFFSET as usize..][..5].copy_from_slice(&code(PVH));
    page
}

/// An ELF kernel with that program and memory that is not in the file, for 64 or 32 bits, with or without Xen's note of the PVH entry.
fn elf(wide: bool, note: bool) -> Vec<u8> {
    let word = |value: u32| {
        if wide { u64::from(value).to_le_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    };
    let words = |values: &[u32]| values.iter().flat_map(|value| word(*value)).collect::<Vec<_>>();
    let halves = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let header = |kind: u32, offset: u32, address: u32, len: [u32; 2], align: u32| {
        let (flags, rest) =
            (7_u32.to_le_bytes().to_vec(), words(&[offset, address, address, len[0], len[1]]));
        let parts = if wide { [flags, rest] } else { [rest, flags] };
        [kind.to_le_bytes().to_vec(), parts.concat(), word(align)].concat()
    };
    let notes: Vec<u8> = [4, 4, 18, u32::from_le_bytes(*b"Xen\0"), START + PVH_OFFSET]
        .iter()
        .flat_map(|field: &u32| field.to_le_bytes())
        .collect();
    let len = notes.len().try_into().unwrap();
    let mut headers = vec![
        header(1, 0x1000, START, [0x1000, 0x1000], 0x1000),
        header(1, 0, START + 0x10_0000, [0, 0x200_0000], 0x1000),
        header(1, 0, 0, [0, 0], 1),
    ];
    headers.extend(note.then(|| header(4, 0x2000, 0, [len, len], 4)));
    // After everything else.
    let table = 0x3000;
    let (size, class, machine) = if wide { (56, 2, 62) } else { (32, 1, 3) };
    let mut image = [
        [&b"\x7fELF"[..], &[class, 1, 1], &[0; 9]].concat(),
        halves(&[2, machine, 1, 0]),
        words(&[START, table, 0]),
        halves(&[0, 0, 64, size, headers.len().try_into().unwrap(), 0, 0, 0]),
    ]
    .concat();
    image.resize(0x1000, 0);
    image.extend(program());
    image.extend(notes);
    image.resize(table as usize, 0);
    image.extend(headers.concat());
    image
}

/// A file with an old modification time.
fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
    File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    path
}

/// Starts a guest that prints "boot" and reboots, again and again, with `initramfs`, which it doesn't use.
fn reboot(kernel: &Path, initramfs: &Path) -> (Running, ChildStdout) {
    let mut command = nvmm();
    command.arg("--kernel").arg(kernel).arg("--initramfs").arg(initramfs);
    command.args(["--cmdline", "acpi", "--memory", "16M"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(&mut command);
    let stdout = running.0.stdout.take().unwrap();
    (running, stdout)
}

fn expect_boots(stdout: &mut ChildStdout, count: usize) {
    for _ in 0..count {
        assert_eq!(expect(stdout, "\n"), "boot\n");
    }
}

#[test]
fn each_kernel_is_entered_at_its_entry() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let initramfs = file(&folder, "initramfs", &[1; 0x1000]);
    for (wide, note, value) in [(true, true, PVH), (true, false, LINUX_64), (false, true, PVH)] {
        let kernel = file(&folder, "kernel", &elf(wide, note));
        let mut command = nvmm();
        command.arg("--kernel").arg(kernel).arg("--initramfs").arg(&initramfs);
        let output = command.args(["--debug-exit", "0xf4", "--memory", "64M"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(i32::from(value << 1 | 1)), "{wide} {note}: {stderr}");
    }
}

#[test]
fn a_reset_boots_what_was_opened() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kernel = file(&folder, "kernel", &fs::read(guest("reboot")).unwrap());
    let initramfs = file(&folder, "initramfs", b"initramfs");
    let (_running, mut stdout) = reboot(&kernel, &initramfs);
    expect_boots(&mut stdout, 2);
    fs::rename(file(&folder, "new", &fs::read(guest("power_off")).unwrap()), &kernel).unwrap();
    fs::remove_file(&initramfs).unwrap();
    // More than can have happened before the files were removed.
    expect_boots(&mut stdout, 20);
    fs::remove_file(&kernel).unwrap();
    expect_boots(&mut stdout, 20);
}

#[test]
fn a_reset_does_not_boot_what_was_written_over_it() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for overwritten in ["kernel", "initramfs"] {
        let kernel = file(&folder, "kernel", &fs::read(guest("reboot")).unwrap());
        let initramfs = file(&folder, "initramfs", b"initramfs");
        let (mut running, mut stdout) = reboot(&kernel, &initramfs);
        expect_boots(&mut stdout, 2);
        let path = folder.path().join(overwritten);
        fs::write(&path, fs::read(guest("power_off")).unwrap()).unwrap();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(running.status(), Some(1), "{overwritten}: {rest}");
        let mut stderr = String::new();
        running.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let expected = format!("nvmm: --{overwritten} {}: the file was overwritten since", path.display());
        assert!(stderr.starts_with(&expected) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_kernel_out_of_a_pipe_is_booted_again() {
    if no_kvm() {
        return;
    }
    let mut command = nvmm();
    command.args(["--kernel", "/dev/stdin", "--cmdline", "acpi", "--memory", "16M"]);
    let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    running.0.stdin.take().unwrap().write_all(&fs::read(guest("reboot")).unwrap()).unwrap();
    expect_boots(&mut running.0.stdout.take().unwrap(), 3);
}
