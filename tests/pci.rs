//! PCI as a guest sees it: tiny guests that share interrupts, move BARs and count functions.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "support/mod.rs"]
mod support;

use std::{
    fs::{self, File},
    path::Path,
    process::Output,
};

use support::{no_kvm, run};

/// Disks whose first byte is their number, from 1.
fn disks(folder: &Path, count: u8) -> Vec<String> {
    (1..=count)
        .flat_map(|number| {
            let path = folder.join(format!("disk{number}"));
            fs::write(&path, vec![number; 512 * usize::from(number)]).unwrap();
            ["--disk".to_owned(), format!("{},format=raw", path.display())]
        })
        .collect()
}

fn run_with(guest: &str, options: &[String]) -> Output {
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    run(guest, &options)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_interrupt_line_is_high_until_all_who_share_it_are_acknowledged() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run_with("intx", &disks(folder.path(), 9));
    let expected = "idle low\nboth high\nslot 1 isr 1 then high\nslot 9 isr 1 then low\n";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
}

#[test]
fn bars_move_and_overlap_without_taking_what_is_not_theirs() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run_with("pci_bars", &disks(folder.path(), 2));
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().filter(|line| line.ends_with(": good")).count(), 24, "{stdout}");
    assert_eq!(stdout.lines().count(), 24, "{stdout}");
}

#[test]
fn forty_disks_are_functions_of_31_devices() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run_with("pci_functions", &disks(folder.path(), 40));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let mut expected = String::new();
    for device in 1..32 {
        let line = 16 + device % 8;
        expected += &format!("{device:x}.0 pin 1 line {line:x} {device:x}\n");
        if device <= 40 - 31 {
            let line = 16 + (device + 1) % 8;
            expected += &format!("{device:x}.1 pin 2 line {line:x} {:x}\n", device + 31);
        }
    }
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn there_is_room_for_200_disks_and_none_for_249() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    File::create(&disk).unwrap().set_len(512).unwrap();
    let disk = format!("{},format=raw,readonly=on", disk.display());
    let with = |count| run("power_off", &["--disk", disk.as_str()].repeat(count));
    let many = with(200);
    assert_eq!((many.status.code(), text(&many.stderr).as_str()), (Some(0), ""));
    let more = with(249);
    let message = text(&more.stderr);
    assert_eq!((more.status.code(), message.lines().count()), (Some(1), 1), "{message}");
    assert!(message.contains("pci bus 0 is full: it has room for 248 devices"), "{message}");
}

#[test]
fn the_window_for_64_bit_bars_is_above_ram_where_processors_reach_it() {
    if no_kvm() {
        return;
    }
    const NAME: &str = "64-bit PCI BARs";
    let plan = |cpu| {
        let output = run("power_off", &["--dry-run", "--cpu", cpu]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let narrow = plan("host-passthrough,phys-bits=36");
    assert!(narrow.contains("  PCI BARs") && !narrow.contains(NAME), "{narrow}");

    let output = run("power_off", &["--dry-run", "--cpu", "host-passthrough,phys-bits=37"]);
    if output.status.code() != Some(0) {
        return println!("skipped: {}", text(&output.stderr));
    }
    let wide = text(&output.stdout);
    let line = wide.lines().find(|line| line.contains(NAME));
    let expected = format!("  0x001000000000-0x001fffffffff  {NAME}  (64 GiB)");
    assert_eq!(line, Some(expected.as_str()), "{wide}");
}
