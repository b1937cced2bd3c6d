//! Interrupts of timers and devices: a save neither loses nor invents any.

use std::{
    fs::{self, File},
    io::{Read, Write},
    thread,
    time::Duration,
};

use crate::{
    control::ctl,
    load::{Random, number, start},
    saved::{Restored, WAYS, restore},
    support::{expect, guest, no_kvm, nvmm},
};

/// The guest goes through rounds of one-shot, deadline and periodic timers, the PIT, the IOAPIC's edge and level interrupts, and messages.
/// It reports each interrupt that is early or unexpected, and waits for each that is lost.
#[test]
fn none_is_lost_and_none_made_up() {
    if no_kvm() {
        return;
    }
    let mut random = Random(number("NVMM_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    File::create(&disk).unwrap().set_len(64 << 10).unwrap();
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("rounds")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command.args(["--disk", &format!("path={},format=raw", disk.display())]);
    let saves = number("NVMM_SAVES", 20);
    let mut seen = String::new();
    for save in 0..=saves {
        let place = |save: u64| folder.path().join(format!("snap{save}"));
        let mut machine = start(&mut command, folder.path());
        let mut stdout = machine.0.stdout.take().unwrap();
        if save == 0 {
            expect(&mut stdout, "ready\n");
        }
        // It ends the round, and goes through others.
        for _ in 0..2 + random.below(3) {
            seen += &expect(&mut stdout, ".");
            assert!(!seen.contains('!'), "save {save}: {seen}");
        }
        thread::sleep(Duration::from_micros(random.below(30_000)));
        let socket = folder.path().join("qmp");
        let output = ctl(&socket, &["snapshot", place(save).to_str().unwrap(), "--stop"]).output().unwrap();
        assert!(output.status.success(), "save {save}: {}", String::from_utf8_lossy(&output.stderr));
        stdout.read_to_string(&mut seen).unwrap();
        assert!(!seen.contains('!'), "save {save}: {seen}");
        assert_eq!(machine.status(), Some(0));
        if let Some(last) = save.checked_sub(1) {
            fs::remove_dir_all(place(last)).unwrap();
        }
        let way = WAYS[usize::try_from(random.below(2)).unwrap()];
        command = restore(folder.path(), &place(save), &["--restore-memory", way]);
    }
    println!("{saves} saves, {} rounds", seen.len());
}

#[test]
fn a_guest_that_is_halted_wakes() {
    if no_kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("halted")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    let mut has_run_out = true;
    for save in 0..5 {
        let _ = fs::remove_file(&socket);
        let mut machine = Restored::start(command.arg("--qmp").arg(&socket));
        let mut stdout = machine.0.0.stdout.take().unwrap();
        if save == 0 {
            expect(&mut stdout, "ready\n");
        }
        if !has_run_out {
            assert_eq!(expect(&mut stdout, "\n"), "timer\n");
        }
        // Nothing else arrives, and the port's interrupts continue.
        for (byte, answer) in [(b'.', "byte\n"), (b's', "armed\n")] {
            machine.0.0.stdin.as_mut().unwrap().write_all(&[byte]).unwrap();
            assert_eq!(expect(&mut stdout, "\n"), answer);
        }
        let place = folder.path().join(format!("snap{save}"));
        let output = ctl(&socket, &["snapshot", place.to_str().unwrap(), "--stop"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // On a busy host the timer may have expired before.
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        has_run_out = rest == "timer\n";
        assert!(has_run_out || rest.is_empty(), "{rest}");
        assert_eq!(machine.0.status(), Some(0));
        command = restore(folder.path(), &place, &[]);
    }
}
