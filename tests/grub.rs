//! SeaBIOS and GRUB from a disk like the ones of `grub-install`, on any /dev/kvm. GRUB's menu and command line are controlled over COM1,
//! and by the keyboard.
//!
//! On a KVM that emulates 16-bit and 32-bit code, most of the time is spent on unpacking GRUB's core image and loading `normal`, so both
//! have only the modules that the test uses.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/control.rs"]
mod control;
#[path = "support/screen.rs"]
mod screen;
#[path = "support/mod.rs"]
mod support;
#[path = "support/viewer.rs"]
mod viewer;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use control::ctl;
use screen::Picture;
use support::{Running, expect_for, no_kvm, nvmm};
use tempfile::TempDir;
use viewer::Viewer;

const SEABIOS: &str = "/usr/share/seabios/bios-256k.bin";
const VGA_ROM: &str = "/usr/share/seabios/vgabios-stdvga.bin";
/// GRUB's modules for BIOS, at Debian's path.
const MODULES: &str = "/usr/lib/grub/i386-pc";
/// The modules of the core image, which are needed to read the partition.
const CORE: [&str; 3] = ["biosdisk", "part_msdos", "ext2"];
/// The modules in the partition, with those that they depend on.
const IN_PARTITION: [&str; 18] = [
    "acpi",
    "boot",
    "bufio",
    "crypto",
    "datetime",
    "echo",
    "extcmd",
    "gettext",
    "halt",
    "ls",
    "mmap",
    "net",
    "normal",
    "priority_queue",
    "serial",
    "terminal",
    "terminfo",
    "verifiers",
];
/// The longest time for a step of GRUB.
const LONG: Duration = Duration::from_secs(600);
const TERMINALS: &str = "terminal_input serial\nterminal_output serial";
const MENU: &str = "\
insmod serial
insmod terminal
insmod echo
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=-1
menuentry 'The first entry' { echo wrong }
menuentry 'The second entry' { echo the second has started; insmod halt; halt }
";

/// GRUB's menu on the screen with its first entry highlighted, below the line with the version.
const PICTURE: &[u8] = include_bytes!("pictures/grub.png");
const BELOW_VERSION: (usize, usize) = (0, 48);

const SECTOR: usize = 512;
const MIB: usize = 1 << 20;
/// The partition's start, and the disk's end.
const PARTITION: usize = MIB;
const LEN: usize = 4 * MIB;

/// Runs a program that creates a part of the disk. If it is not installed, prints that and returns false.
fn made(command: &mut Command) -> bool {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: {}: {error}", command.get_program().display());
            return false;
        }
    };
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Creates the disk: boot.img in its first sector, the core image after it, and an ext2 partition with the rest of GRUB and `menu`.
fn disk(folder: &Path, menu: &str) -> Option<()> {
    let [core, root, partition] = ["core.img", "root", "partition.img"].map(|name| folder.join(name));
    let grub = root.join("boot/grub");
    fs::create_dir_all(grub.join("i386-pc")).unwrap();
    for module in IN_PARTITION {
        let name = format!("i386-pc/{module}.mod");
        fs::copy(Path::new(MODULES).with_file_name(&name), grub.join(&name)).unwrap();
    }
    fs::write(grub.join("grub.cfg"), menu).unwrap();
    let mut mkimage = Command::new("grub-mkimage");
    mkimage
        .args(["--format", "i386-pc", "--prefix", "(,msdos1)/boot/grub", "--output"])
        .arg(&core)
        .args(CORE);
    fs::write(&partition, []).unwrap();
    fs::OpenOptions::new().write(true).open(&partition).unwrap().set_len((LEN - PARTITION) as u64).unwrap();
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.args(["-q", "-t", "ext2", "-d"]).arg(&root).arg(&partition);
    // On Debian it is only in root's PATH.
    mke2fs.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    if !made(&mut mkimage) || !made(&mut mke2fs) {
        return None;
    }
    let mut bytes = vec![0; LEN];
    let mut put = |at: usize, from: &[u8]| bytes[at..at + from.len()].copy_from_slice(from);
    put(0, &fs::read(Path::new(MODULES).join("boot.img")).unwrap()[..440]);
    // Bootable, with Linux's type, the start and the length in sectors.
    let sectors = |bytes: usize| u32::try_from(bytes / SECTOR).unwrap().to_le_bytes();
    put(446, &[0x80, 0, 0, 0, 0x83]);
    put(446 + 8, &sectors(PARTITION));
    put(446 + 12, &sectors(LEN - PARTITION));
    put(510, &[0x55, 0xaa]);
    // The sector where boot.img expects it by default.
    let core = fs::read(&core).unwrap();
    assert!(SECTOR + core.len() <= PARTITION, "the core image has {} bytes", core.len());
    put(SECTOR, &core);
    put(PARTITION, &fs::read(&partition).unwrap());
    fs::write(folder.join("disk.img"), bytes).unwrap();
    Some(())
}

/// A directory with a disk that has GRUB with `menu`. If such a test can't run, prints the reason and returns none.
fn folder(menu: &str) -> Option<TempDir> {
    for (path, package) in [(SEABIOS, "seabios"), (VGA_ROM, "seabios"), (MODULES, "grub-pc-bin")] {
        if !Path::new(path).exists() {
            println!("skipped: no {path} (apt install {package})");
            return None;
        }
    }
    let folder = TempDir::new().unwrap();
    (!no_kvm() && disk(folder.path(), menu).is_some()).then_some(folder)
}

#[test]
fn grubs_menu_and_command_line_are_driven_and_halt_powers_off() {
    let Some(folder) = folder(MENU) else { return };
    let script = [
        ("is highlighted", "c\\c"),
        ("grub> ", "insmod ls"),
        ("grub> ", "ls"),
        ("(hd0) (hd0,msdos1)", "\\c"),
        ("grub> ", "ls /boot/grub/i386-pc/halt.mod"),
        ("halt.mod", "\\c"),
        ("grub> ", "echo \"<$root> <$grub_platform>\""),
        ("<hd0,msdos1> <pc>", "\\c"),
        // Back to the menu, and down.
        ("grub> ", "\\x1b\\c"),
        ("is highlighted", "\\x1b[B\\c"),
        ("*The second entry", ""),
    ];
    let mut command = nvmm();
    command
        .args(["--memory", "64M", "--expect-timeout", "600", "--disk"])
        .arg(folder.path().join("disk.img"));
    for (text, answer) in script {
        command.args(["--expect", text, "--send", answer]);
    }
    let output = command.args(["--expect", "the second has started"]).output().unwrap();
    let [console, said] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    // The machine powered off: GRUB found ACPI's tables, and _S5 in the DSDT.
    assert_eq!(output.status.code(), Some(0), "{said}\n{console}");
    assert!(!console.contains("wrong"), "{console}");
}

#[test]
fn keys_typed_into_grubs_command_line_come_out_on_the_serial_port() {
    // With the BIOS's keyboard, and also on the BIOS's screen.
    assert!(MENU.contains(TERMINALS));
    let menu = MENU.replace(TERMINALS, "terminal_input console\nterminal_output serial console");
    let Some(folder) = folder(&menu) else { return };
    let mut command = nvmm();
    command.args(["--memory", "64M", "--disk", "disk.img", "--display", "vnc=unix:vnc", "--qmp", "qmp"]);
    command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut machine = Running::start(&mut command);
    let mut console = machine.0.stdout.take().unwrap();
    expect_for(LONG, &mut console, "is highlighted");
    let menu = Picture::read_png(PICTURE);
    Viewer::connect(&folder.path().join("vnc")).until(|picture| picture.has(BELOW_VERSION, &menu));

    // A KVM that emulates the BIOS takes seconds per key, and a keyboard buffers only a few: wait for each before the next.
    for (text, key) in
        [("", "down"), ("*The second entry", "c"), ("grub> ", "s"), ("s", "e"), ("e", "t"), ("t", "ret")]
    {
        expect_for(LONG, &mut console, text);
        let output = ctl(&folder.path().join("qmp"), &["send-key", key]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // All variables.
    expect_for(LONG, &mut console, "root=hd0,msdos1");
}
