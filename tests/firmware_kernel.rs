//! Kernels that firmware loads: `--firmware` with `--kernel`, with Debian's SeaBIOS and QEMU's option ROM, on any /dev/kvm.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use support::{no_kvm, nvmm};
use tempfile::TempDir;

const SEABIOS: &str = "/usr/share/seabios/bios-256k.bin";
const LOADER: &str = "/usr/share/qemu/linuxboot_dma.bin";
/// The status of a guest that writes 21 to the debug-exit port.
const DONE: Option<i32> = Some(21 << 1 | 1);

/// Says that a test is skipped, and why, where it can't run.
fn cannot_run() -> bool {
    if !Path::new(SEABIOS).exists() || !Path::new(LOADER).exists() {
        println!("skipped: no SeaBIOS, or no option ROM for it (apt install seabios qemu-system-data)");
        return true;
    }
    no_kvm()
}

/// A kernel of 16-bit code, which writes its command line, the first bytes of its protected-mode part, the last of its initramfs (its length
/// modulo 8), and its loader's type to COM1, and 21 to the debug-exit port.
fn bzimage() -> Vec<u8> {
    let mut image = vec![0; 1024];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    // Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header": one sector of code, protocol 2.15.
    put(0x1f1, &[1]);
    put(0x1fe, &[0x55, 0xaa]);
    put(0x200, &[0xeb, 0x6a]);
    put(0x202, b"HdrS\x0f\x02");
    put(0x211, &[1]);
    put(0x22c, &0x7fff_ffff_u32.to_le_bytes());
    put(0x238, &1000_u32.to_le_bytes());
    let mut code = Vec::new();
    // FS of 4 GiB: cli; lgdt [0x300]; mov eax, cr0; or al, 1; mov cr0, eax; mov ax, 8; mov fs, ax; mov dx, 0x3f8.
    code.extend([0xfa, 0x66, 0x0f, 0x01, 0x16, 0x00, 0x03, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0]);
    code.extend([0xb8, 0x08, 0x00, 0x8e, 0xe0, 0xba, 0xf8, 0x03]);
    // The command line: mov esi, [0x228]; next: mov al, fs:[esi]; test al, al; jz end; out dx, al; inc esi; jmp next; end:
    code.extend([0x66, 0x8b, 0x36, 0x28, 0x02, 0x64, 0x67, 0x8a, 0x06, 0x84, 0xc0, 0x74, 0x05]);
    code.extend([0xee, 0x66, 0x46, 0xeb, 0xf3]);
    // The kernel: mov esi, 0x100000; mov ecx, 6; call print.
    code.extend([0x66, 0xbe, 0x00, 0x00, 0x10, 0x00, 0x66, 0xb9, 0x06, 0x00, 0x00, 0x00, 0xe8, 0x24, 0x00]);
    // The initramfs: mov esi, [0x218]; mov ecx, [0x21c]; add esi, ecx; and ecx, 7; sub esi, ecx; call print.
    code.extend([0x66, 0x8b, 0x36, 0x18, 0x02, 0x66, 0x8b, 0x0e, 0x1c, 0x02, 0x66, 0x01, 0xce]);
    code.extend([0x66, 0x83, 0xe1, 0x07, 0x66, 0x29, 0xce, 0xe8, 0x0d, 0x00]);
    // The loader's type, of which B0H is a '0': mov al, [0x210]; and al, 0x7f; out dx, al.
    code.extend([0xa0, 0x10, 0x02, 0x24, 0x7f, 0xee]);
    // mov dx, 0xf4; mov al, 21; out dx, al; hlt.
    code.extend([0xba, 0xf4, 0x00, 0xb0, 21, 0xee, 0xf4]);
    // print: jcxz end; next: mov al, fs:[esi]; out dx, al; inc esi; loop next; end: ret.
    code.extend([0xe3, 0x09, 0x64, 0x67, 0x8a, 0x06, 0xee, 0x66, 0x46, 0xe2, 0xf7, 0xc3]);
    put(0x26c, &code);
    // The descriptors' limit and address; the second is all of memory.
    put(0x300, &[0x0f, 0x00, 0x10, 0x03, 0x01, 0x00]);
    put(0x318, &[0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00]);
    image.extend(b"KERNEL");
    image.resize(4096, 0);
    image
}

fn run(kernel: &Path, options: &[&str]) -> Output {
    let mut command: Command = nvmm();
    command.args(["--debug-exit", "0xf4", "--kernel"]).arg(kernel);
    command.args(options).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn seabios_starts_a_kernel_with_its_command_line_and_initramfs() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let [kernel, initramfs, disk] = ["kernel", "initramfs", "disk"].map(|name| folder.path().join(name));
    fs::write(&kernel, bzimage()).unwrap();
    // More than is moved at once.
    let long = [&[b'-'; 100 << 10], &b"END"[..]].concat();
    fs::write(&initramfs, &long).unwrap();
    fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let [initramfs, disk] = [&initramfs, &disk].map(|path| path.to_str().unwrap());
    let options = ["--firmware", "bios", "--cmdline", "quiet.", "--disk", disk, "--boot", "disk1"];
    for (memory, initramfs, expected) in [
        ("32M", None, "quiet.KERNEL0"),
        ("32M", Some(initramfs), "quiet.KERNELEND0"),
        ("3G", Some(initramfs), "quiet.KERNELEND0"),
    ] {
        let initramfs: Vec<_> = initramfs.into_iter().flat_map(|path| ["--initrd", path]).collect();
        let output = run(&kernel, &[&options[..], &["--memory", memory, "-v"], &initramfs].concat());
        let (console, messages) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), DONE, "{memory}: {messages}");
        assert!(console.contains("Booting from ROM") && console.ends_with(expected), "{memory}: {console}");
        let expected = format!("firmware loads {}, and can start from disk1", kernel.display());
        assert!(messages.contains(&expected), "{messages}");
    }
}

#[test]
fn a_dry_run_says_that_firmware_loads_the_kernel() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let kernel = folder.path().join("kernel");
    fs::write(&kernel, bzimage()).unwrap();
    let output = run(&kernel, &["--firmware", "bios", "--dry-run"]);
    let expected = format!(
        "Kernel\n  {}\n  loaded by firmware\n  command line: console=ttyS0\nFirmware\n",
        kernel.display()
    );
    assert!(text(&output.stdout).starts_with(&expected), "{}{}", text(&output.stdout), text(&output.stderr));
    let output = run(&kernel, &["--firmware", "bios", "--dry-run", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["kernel"]["entry"], serde_json::Value::Null);
    assert_eq!(json["firmware"]["path"], SEABIOS);
}

#[test]
fn kernels_that_firmware_can_not_load_are_refused() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let kernel = folder.path().join("kernel");
    let mut low = bzimage();
    low[0x211] = 0;
    for (bytes, expected) in [
        (
            b"\x7fELF".to_vec(),
            "this is an ELF file, which nvmm starts without --firmware; firmware starts a bzImage",
        ),
        (low, "this is a zImage, which is loaded below 1 MiB; firmware starts a bzImage"),
        (b"text".to_vec(), "this is no kernel that nvmm knows; firmware starts a bzImage"),
    ] {
        fs::write(&kernel, bytes).unwrap();
        let output = run(&kernel, &["--firmware", "bios"]);
        let message = text(&output.stderr);
        assert_eq!((output.status.code(), message.lines().count()), (Some(1), 1), "{message}");
        assert!(message.contains(&format!("--kernel {}: {expected}", kernel.display())), "{message}");
    }
}
