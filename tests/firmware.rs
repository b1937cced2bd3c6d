//! Machines that start with firmware: Debian's SeaBIOS, on any /dev/kvm.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;
#[path = "support/variables.rs"]
mod variables;

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rustix::process::geteuid;
use support::{Running, expect, no_kvm, nvmm};
use tempfile::TempDir;
use variables::variables;

const SEABIOS: &str = "/usr/share/seabios/bios-256k.bin";
/// nvmm's status if a guest ends by [`exit`] with 21.
const DONE: Option<i32> = Some(21 << 1 | 1);

/// Returns true if SeaBIOS can't run here, and prints that the test is skipped, and why.
fn cannot_run() -> bool {
    if !Path::new(SEABIOS).exists() {
        println!("skipped: no SeaBIOS (apt install seabios)");
        return true;
    }
    no_kvm()
}

/// 16-bit code that writes `value` to the debug-exit port: mov dx, 0xf4; mov al, value; out dx, al; hlt.
fn exit(value: u8) -> Vec<u8> {
    vec![0xba, 0xf4, 0x00, 0xb0, value, 0xee, 0xf4]
}

/// Creates a disk with this code in its boot sector.
fn disk(folder: &TempDir, name: &str, code: &[u8]) -> PathBuf {
    let mut bytes = vec![0; 1 << 20];
    bytes[..code.len()].copy_from_slice(code);
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A machine with these disks and a debug-exit port.
fn machine(disks: &[&Path]) -> Command {
    let mut command = nvmm();
    command.args(["--debug-exit", "0xf4"]);
    disks.iter().for_each(|disk| {
        command.arg("--disk").arg(disk);
    });
    command
}

fn run(disks: &[&Path], options: &[&str]) -> Output {
    machine(disks).args(options).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn seabios_starts_the_boot_sector_of_a_disk() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let disk = disk(&folder, "a.img", &exit(21));
    let output = run(&[&disk], &["-vv"]);
    assert_eq!(output.status.code(), DONE, "{}", stderr(&output));
    let messages = stderr(&output);
    for expected in [
        &format!("firmware: BIOS (SeaBIOS), since disk {}: it has no EFI system partition", disk.display()),
        &format!("firmware: {SEABIOS} (256 KiB)"),
        "firmware can start from disk1",
        "firmware: Running on QEMU (q35)",
        "firmware: QEMU fw_cfg DMA interface supported",
        "firmware: PCIe: using q35 mmconfig at 0xb0000000",
        "firmware: Found 1 cpu(s) max supported 1 cpu(s)",
        "firmware: Copying SMBIOS from",
        "firmware: ACPI: parse DSDT at",
        "00000000feffc000 - 00000000ff000000 = 2 RESERVED",
    ] {
        assert!(messages.contains(expected), "no {expected:?} in\n{messages}");
    }
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    // The last characters may not have arrived yet.
    assert!(console.contains("Booting from Hard Disk"), "{console}");
}

/// APM's "Set Power State" of all devices to off, as DOS and syslinux call it: SeaBIOS writes QEMU's `SLP_TYP`, 0, and does not read `_S5`.
#[test]
fn power_off_by_apm() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    // mov ax, 0x5307; mov bx, 1; mov cx, 3; int 0x15
    let call = [0xb8, 0x07, 0x53, 0xbb, 0x01, 0x00, 0xb9, 0x03, 0x00, 0xcd, 0x15];
    let disk = disk(&folder, "a.img", &[&call[..], &exit(21)].concat());
    let mut machine = machine(&[&disk]);
    let machine = machine.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut machine = Running(machine.spawn().unwrap());
    assert_eq!(machine.status_in_time(), Some(0));
}

#[test]
fn all_processors_and_all_memory_are_found() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let disk = disk(&folder, "a.img", &exit(21));
    let output = run(&[&disk], &["-vv", "--smp", "2", "--memory", "3G"]);
    assert_eq!(output.status.code(), DONE, "{}", stderr(&output));
    let messages = stderr(&output);
    for expected in [
        "firmware: Found 2 cpu(s) max supported 2 cpu(s)",
        "addr 0x0000000000000000 len 0x0000000080000000 [RAM]",
        "addr 0x0000000100000000 len 0x0000000040000000 [RAM]",
        "0000000100000000 - 0000000140000000 = 1 RAM",
    ] {
        assert!(messages.contains(expected), "no {expected:?} in\n{messages}");
    }
}

#[test]
fn seabios_starts_the_boot_sector_of_a_sata_disk() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let [a, b] = [("a.img", 21), ("b.img", 1)].map(|(name, value)| disk(&folder, name, &exit(value)));
    // By its position among the disks, whatever the order of their PCI addresses.
    let sata = format!("path={},bus=sata", a.display());
    let output = run(&[], &["-vv", "--disk", &sata, "--disk", b.to_str().unwrap(), "--boot", "disk1"]);
    let messages = stderr(&output);
    assert_eq!(output.status.code(), DONE, "{messages}");
    assert!(messages.contains("NVMM HARDDISK ATA-9 Hard-Disk (1 MiBytes)"), "{messages}");
}

/// Creates a CD that starts `code`: ECMA-119, and El Torito's boot record, catalogue and image, without emulation.
fn cd(folder: &TempDir, name: &str, code: &[u8]) -> PathBuf {
    const BLOCK: usize = 2048;
    let mut bytes = vec![0; 64 * BLOCK];
    let mut put = |block: usize, at: usize, data: &[u8]| {
        bytes[block * BLOCK + at..][..data.len()].copy_from_slice(data);
    };
    put(16, 0, b"\x01CD001\x01");
    put(17, 0, b"\x00CD001\x01EL TORITO SPECIFICATION");
    put(17, 0x47, &19_u32.to_le_bytes());
    put(18, 0, b"\xffCD001\x01");
    // The validation entry, whose words have the sum 0, and the entry of the image: 4 sectors of 512 bytes at block 20.
    put(19, 0, &[1]);
    put(19, 28, &[0xaa, 0x55, 0x55, 0xaa]);
    put(19, 32, &[0x88, 0, 0, 0, 0, 0, 4, 0, 20, 0, 0, 0]);
    put(20, 0, code);
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn seabios_starts_a_cd() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let disk = disk(&folder, "a.img", &exit(1));
    let cd = cd(&folder, "a.iso", &exit(21));
    let output = run(&[&disk], &["-vv", "--cdrom", cd.to_str().unwrap(), "--boot", "order=cdrom"]);
    let messages = stderr(&output);
    assert_eq!(output.status.code(), DONE, "{messages}");
    assert!(messages.contains("DVD/CD [AHCI/0: NVMM DVD-ROM ATAPI-9 DVD/CD]"), "{messages}");
}

/// Each reset starts with the firmware as it is in its file. A byte of CMOS memory counts the resets.
#[test]
fn a_reset_starts_firmware_again() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    // mov al, 0x40; out 0x70, al; in al, 0x71; cmp al, 2; jae done; inc al; out 0x71, al; mov dx, 0xcf9; mov al, 6; out dx, al; hlt; jmp $ - 1
    let mut code = vec![0xb0, 0x40, 0xe6, 0x70, 0xe4, 0x71, 0x3c, 2, 0x73, 13, 0xfe, 0xc0, 0xe6, 0x71];
    code.extend([0xba, 0xf9, 0x0c, 0xb0, 6, 0xee, 0xf4, 0xeb, 0xfd]);
    code.extend(exit(21));
    let disk = disk(&folder, "a.img", &code);
    let output = run(&[&disk], &[]);
    assert_eq!(output.status.code(), DONE, "{}", stderr(&output));
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(console.matches("Booting from Hard Disk").count(), 3, "{console}");
}

#[test]
fn disks_start_in_the_order_that_is_asked_for() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let [a, b] = [("a.img", 1), ("b.img", 2)].map(|(name, value)| disk(&folder, name, &exit(value)));
    // Without `bootindex=`, the first disk comes first, whatever its bus is.
    let sata = format!("path={},bus=sata", b.display());
    let output = run(&[&a], &["--disk", &sata, "--net", "none", "-v"]);
    assert_eq!(output.status.code(), Some(1 << 1 | 1), "{}", stderr(&output));
    assert!(stderr(&output).contains("firmware can start from disk1\n"), "{}", stderr(&output));
    for (order, value) in [("order=disk2", 2), ("c", 1), ("order=disk2,disk1", 2)] {
        let output = run(&[&a, &b], &["--boot", order]);
        assert_eq!(output.status.code(), Some(value << 1 | 1), "{order}: {}", stderr(&output));
    }
}

#[test]
fn without_a_boot_loader_firmware_says_so_on_the_serial_port() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let blank = folder.path().join("blank.img");
    fs::write(&blank, vec![0; 1 << 20]).unwrap();
    let mut command = machine(&[&blank]);
    let mut running = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let mut console = running.0.stdout.take().unwrap();
    expect(&mut console, "Boot failed: not a bootable disk");
    expect(&mut console, "No bootable device.");
}

#[test]
fn the_menu_is_driven_over_the_serial_port() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let [a, b] = [("a.img", 1), ("b.img", 2)].map(|(name, value)| disk(&folder, name, &exit(value)));
    let script = [
        "--expect",
        "for boot menu",
        "--send",
        "\\x1b\\c",
        "--expect",
        "Select boot device",
        "--send",
        "2\\c",
    ];
    let output = run(&[&a, &b], &[&["--boot", "menu=on"], &script[..]].concat());
    assert_eq!(output.status.code(), Some(2 << 1 | 1), "{}", stderr(&output));
}

#[test]
fn a_dry_run_shows_the_firmware_and_its_memory() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let [a, b] = ["a.img", "b.img"].map(|name| disk(&folder, name, &exit(1)));
    let output = run(&[&a, &b], &["--dry-run", "--boot", "order=disk2,menu=on", "--memory", "3G"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in [
        &format!(
            "Firmware\n  {SEABIOS}\n  BIOS (SeaBIOS), 256 KiB\n  starts from: disk2\n  with a menu of: disk2, disk1\n"
        ),
        "0x000000000000-0x00007fffffff  RAM  (2 GiB)",
        "0x000080000000-0x0000febfffff  PCI BARs and configuration space (ECAM)",
        "0x0000feffc000-0x0000feffffff  KVM's own pages (reserved)  (16 KiB)",
        "0x0000fffc0000-0x0000ffffffff  firmware (read-only)  (256 KiB)",
        "0x000100000000-0x00013fffffff  RAM  (1 GiB)",
        "00:00.0      Q35 host bridge [8086:29c0]",
        "00:1f.0      ICH9 LPC bridge [8086:2918]",
        "fw_cfg",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
    let output = run(&[&a], &["--dry-run", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["kernel"], serde_json::Value::Null);
    assert_eq!(json["firmware"]["path"], SEABIOS);
    assert_eq!(json["firmware"]["start"], 0xfffc_0000_u32);
}

#[test]
fn machines_that_firmware_can_not_start_are_refused() {
    let folder = TempDir::new().unwrap();
    let disk = disk(&folder, "a.img", &exit(1));
    let disk = disk.to_str().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let short = file("short.bin", &[1; 100]);
    let blank = file("blank.bin", &[0xff; 256 << 10]);
    let secure = file("OVMF_CODE.secboot.fd", &[1; 256 << 10]);
    for (words, status, expected) in [
        (&[][..], 2, "there is nothing to start: give a disk with --disk PATH"),
        (&["--disk", disk, "--cmdline", "quiet"], 2, "--cmdline goes with --kernel"),
        (&["--disk", disk, "--boot", "menu=x"], 2, "--boot menu=x: 'menu=x': give menu=on or menu=off"),
        (&["--firmware", "/no/bios", "--disk", disk], 1, "--firmware /no/bios: no such file; give bios"),
        (&["--firmware", &short, "--disk", disk], 1, "it has 100 bytes, and firmware comes in whole pages"),
        (&["--firmware", &blank, "--disk", disk], 1, "there is no code at its end"),
        (
            &["-bios", &secure, "-disk", disk],
            1,
            "it is a Secure Boot build that needs System Management Mode",
        ),
    ] {
        if status == 1 && no_kvm() {
            continue;
        }
        let output = nvmm().args(words).output().unwrap();
        let message = stderr(&output);
        assert_eq!(
            (output.status.code(), message.lines().count()),
            (Some(status), 1),
            "{words:?}: {message}"
        );
        assert!(message.contains(expected), "{words:?}: {message}");
    }
    if !cannot_run() {
        let output = nvmm().args(["--disk", disk, "--boot", "order=disk2"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("there is no disk2; the devices to start from are: disk1"));
    }
}

/// Code that runs from the reset vector on: it detects flash as OVMF does, increments a byte of it, and ends with the count.
fn counter(flash: u32) -> Vec<u8> {
    const LEN: usize = 64 << 10;
    const FAIL: u16 = 0xe100;
    const GDT: u16 = 0xe210;
    let mut rom = vec![0xff; LEN];
    let mut put = |at: u16, bytes: &[u8]| rom[usize::from(at)..][..bytes.len()].copy_from_slice(bytes);
    let mut code: Vec<u8> = Vec::new();
    // Protected mode with DS of 4 GiB: cli; lgdt cs:[0xe200]; mov eax, cr0; or al, 1; mov cr0, eax; mov ax, 8; mov ds, ax.
    code.extend([0xfa, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0x00, 0xe2]);
    code.extend([0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0xb8, 0x08, 0x00, 0x8e, 0xd8]);
    // mov ebx, the byte's address.
    code.extend([0x66, 0xbb]);
    code.extend(flash.to_le_bytes());
    let fail_unless_equal = |code: &mut Vec<u8>| {
        let next = 0xe000 + u16::try_from(code.len()).unwrap() + 4;
        code.extend([0x0f, 0x85]);
        code.extend(FAIL.wrapping_sub(next).to_le_bytes());
    };
    // The status, which is 0: mov byte [ebx], 0x70; mov al, [ebx]; test al, al.
    code.extend([0x67, 0xc6, 0x03, 0x70, 0x67, 0x8a, 0x03, 0x84, 0xc0]);
    fail_unless_equal(&mut code);
    // The contents, and one more: mov byte [ebx], 0xff; mov ah, [ebx]; inc ah.
    code.extend([0x67, 0xc6, 0x03, 0xff, 0x67, 0x8a, 0x23, 0xfe, 0xc4]);
    // It is written: mov byte [ebx], 0x10; mov [ebx], ah; mov al, [ebx]; cmp al, 0x80.
    code.extend([0x67, 0xc6, 0x03, 0x10, 0x67, 0x88, 0x23, 0x67, 0x8a, 0x03, 0x3c, 0x80]);
    fail_unless_equal(&mut code);
    // It is there: mov byte [ebx], 0xff; mov al, [ebx]; cmp al, ah.
    code.extend([0x67, 0xc6, 0x03, 0xff, 0x67, 0x8a, 0x03, 0x38, 0xe0]);
    fail_unless_equal(&mut code);
    // mov dx, 0xf4; out dx, al; hlt.
    code.extend([0xba, 0xf4, 0x00, 0xee, 0xf4]);
    put(0xe000, &code);
    put(FAIL, &exit(0x7f));
    // The descriptors' limit and address; the second is all of memory, writable, and accessed before.
    put(0xe200, &[0x0f, 0x00, 0x10, 0xe2, 0xff, 0xff]);
    put(GDT, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0]);
    // jmp 0xe000.
    put(0xfff0, &[0xe9, 0x0d, 0xe0]);
    rom
}

#[test]
fn uefi_variables_outlive_the_machine() {
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let template = variables();
    // Two pages before the code, which is at the end.
    fs::write(path("X_CODE.fd"), counter(0xffff_0000 - 0x2000)).unwrap();
    fs::write(path("X_VARS.fd"), &template).unwrap();
    let run = |vars: &str| {
        let firmware = format!("{},vars={}", path("X_CODE.fd").display(), path(vars).display());
        nvmm().args(["--debug-exit", "0xf4", "--firmware", &firmware]).output().unwrap()
    };
    let firmware = format!("{},vars={}", path("X_CODE.fd").display(), path("a.fd").display());
    let dry = nvmm().args(["--dry-run", "--firmware", &firmware]).output().unwrap();
    let line = format!("  variables: {}\n", path("a.fd").display());
    assert!(String::from_utf8_lossy(&dry.stdout).contains(&line), "{dry:?}");
    let range = "0x0000fffed000-0x0000fffeffff  UEFI variables (flash)  (12 KiB)\n  0x0000ffff0000-0x0000ffffffff  firmware (read-only)";
    assert!(String::from_utf8_lossy(&dry.stdout).contains(range), "{dry:?}");
    assert!(!path("a.fd").exists(), "nothing runs that could set any");
    for (vars, count) in [("a.fd", 1), ("a.fd", 2), ("b.fd", 1), ("a.fd", 3)] {
        let output = run(vars);
        assert_eq!(output.status.code(), Some(count << 1 | 1), "{vars}: {}", stderr(&output));
        let mut expected = template.clone();
        expected[0x1000] = u8::try_from(count).unwrap();
        assert!(fs::read(path(vars)).unwrap() == expected, "{vars}");
    }
    assert!(fs::read(path("X_VARS.fd")).unwrap() == template);

    fs::write(path("torn.fd"), &template[..0x2800]).unwrap();
    fs::write(path("other.fd"), counter(0)).unwrap();
    for (vars, expected) in [
        ("torn.fd", "it has 10240 bytes, and this firmware's variables have 12288"),
        ("other.fd", "it has 65536 bytes, and this firmware's variables have 12288"),
        ("none/a.fd", "it is not there, and can't be made"),
    ] {
        let output = run(vars);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        let begin = format!("vars= of --firmware: {}: {expected}", path(vars).display());
        assert!(message.contains(&begin), "{message}");
    }
    fs::create_dir(path(".a.fd.new")).unwrap();
    let output = run("a.fd");
    let expected = format!("vars= of --firmware: {}: no file can be made beside it", path("a.fd").display());
    assert_eq!(output.status.code(), Some(1), "noticed before the guest sets any");
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    fs::remove_dir(path(".a.fd.new")).unwrap();
    fs::remove_file(path("X_VARS.fd")).unwrap();
    // The template is gone, and only new files need it.
    let output = run("a.fd");
    assert_eq!(output.status.code(), Some(4 << 1 | 1), "{}", stderr(&output));
    let message = stderr(&run("new.fd"));
    assert!(message.contains("has no store of variables in a file of its own"), "{message}");
}

#[test]
fn uefi_variables_are_saved_in_a_new_root() {
    const NOBODY: u32 = 65533;
    if !geteuid().is_root() {
        println!("skipped: only root can change its root directory");
        return;
    }
    if no_kvm() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("X_CODE.fd"), counter(0xffff_0000 - 0x2000)).unwrap();
    fs::write(path("X_VARS.fd"), variables()).unwrap();
    chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let run = |vars: &Path| {
        let firmware = format!("{},vars={}", path("X_CODE.fd").display(), vars.display());
        let mut command = nvmm();
        command.args(["--debug-exit", "0xf4", "--firmware", &firmware, "--user", "65533:65533", "--chroot"]);
        command.arg(folder.path()).output().unwrap()
    };
    for count in [1, 2] {
        let output = run(&path("a.fd"));
        assert_eq!(output.status.code(), Some(count << 1 | 1), "{}", stderr(&output));
        assert_eq!(i32::from(fs::read(path("a.fd")).unwrap()[0x1000]), count, "{}", stderr(&output));
    }
    let elsewhere = TempDir::new().unwrap();
    let output = run(&elsewhere.path().join("a.fd"));
    assert_eq!(output.status.code(), Some(1), "noticed before the guest sets any");
    assert!(stderr(&output).contains("it is not below --chroot"), "{}", stderr(&output));
}

#[test]
fn more_sata_disks_than_seabios_takes_are_warned_of() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let disks: Vec<_> = (0..13).map(|at| disk(&folder, &format!("{at}.img"), &exit(at + 1))).collect();
    let words: Vec<_> = disks.iter().map(|disk| format!("path={},bus=sata", disk.display())).collect();
    let words: Vec<_> = words.iter().flat_map(|disk| ["--disk", disk]).collect();
    let output = run(&[], &words);
    assert_eq!(output.status.code(), Some(1 << 1 | 1), "{}", stderr(&output));
    assert!(stderr(&output).contains("and there are 13: it may not start from some"), "{}", stderr(&output));
    let output = run(&[], &words[..24]);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(1 << 1 | 1), ""));
}

#[test]
fn the_users_files_are_none_of_firmwares() {
    if cannot_run() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let disk = disk(&folder, "a.img", &exit(21));
    let output = run(&[&disk], &["--fw-cfg", "opt/a,string=b"]);
    assert_eq!(output.status.code(), DONE, "{}", stderr(&output));
    let output = run(&[&disk], &["--fw-cfg", "etc/e820,string=b"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(
        message.contains("nvmm: --fw-cfg: there are two files for firmware called etc/e820"),
        "{message}"
    );
}
