//! Saves at random moments of a guest that constantly writes to its disk and its console.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    blk_plan,
    control::ctl,
    images::{Image, ImageKind, no_qemu_img},
    saved::{WAYS, restore},
    support::{Running, expect, guest, no_kvm, nvmm},
    written,
};

#[test]
fn on_raw_by_io_uring() {
    save_often(ImageKind::Raw, ",aio=io_uring");
}

#[test]
fn on_raw_by_threads() {
    save_often(ImageKind::Raw, ",aio=threads,queues=2");
}

#[test]
fn on_qcow2() {
    save_often(ImageKind::Qcow2, "");
}

#[test]
fn on_an_overlay() {
    save_often(ImageKind::OverlayOfRaw, "");
}

#[test]
fn on_sata() {
    save_often(ImageKind::Raw, ",bus=sata");
}

/// Saves a machine repeatedly, each time restored from the save before, and finally compares its disk with the expected contents.
fn save_often(kind: ImageKind, options: &str) {
    if no_kvm() || no_qemu_img(kind) {
        return;
    }
    let mut random = Random(number("NVMM_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    let image = Image::new(kind, folder.path(), "64k");
    let letters = if options.contains("bus=sata") { "1ra" } else { "1r" };
    let mut command = nvmm();
    command.arg("--kernel").arg(guest("blk_durable")).args(["--debug-exit", "0xf4", "--memory", "16M"]);
    command.args(["--disk", &format!("{}{options}", image.option()), "--cmdline", letters]);
    let saves = number("NVMM_SAVES", 20);
    let mut seen = String::new();
    for save in 0..saves {
        let (old, new) =
            (folder.path().join(format!("snap{save}")), folder.path().join(format!("snap{}", save + 1)));
        if save > 0 {
            command = restore(
                folder.path(),
                &old,
                &["--restore-memory", WAYS[usize::try_from(random.below(2)).unwrap()]],
            );
        }
        let mut machine = start(&mut command, folder.path());
        let mut stdout = machine.0.stdout.take().unwrap();
        if save == 0 {
            expect(&mut stdout, "ready\n");
        }
        for _ in 0..random.below(4) {
            seen += &expect(&mut stdout, "\n");
        }
        thread::sleep(Duration::from_micros(random.below(30_000)));
        while !folder.path().join("qmp").exists() {
            thread::sleep(Duration::from_micros(100));
        }
        let output =
            ctl(&folder.path().join("qmp"), &["snapshot", new.to_str().unwrap(), "--stop"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "save {save}: {said}");
        stdout.read_to_string(&mut seen).unwrap();
        assert_eq!(machine.status(), Some(0));
        if save > 0 {
            fs::remove_dir_all(&old).unwrap();
        }
    }
    let last = folder.path().join(format!("snap{saves}"));
    let mut machine = start(&mut restore(folder.path(), &last, &[]), folder.path());
    let mut stdout = machine.0.stdout.take().unwrap();
    for _ in 0..3 {
        seen += &expect(&mut stdout, "\n");
    }
    // Unlike a signal, this loses none of the guest's output.
    ctl(&folder.path().join("qmp"), &["quit"]).output().unwrap();
    stdout.read_to_string(&mut seen).unwrap();
    machine.status();
    let done = written::check(&seen, &image);
    println!("{kind:?}{options}: {saves} saves, {done} rounds");

    // It has used its disk since, and the snapshot detects that.
    let output = restore(folder.path(), &last, &[]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("has changed since the machine was saved") && said.contains("disk "), "{said}");
}

/// Starts a machine with a control socket in a folder.
pub(crate) fn start(command: &mut Command, folder: &Path) -> Running {
    let socket = folder.join("qmp");
    let _ = fs::remove_file(&socket);
    command.arg("--qmp").arg(socket);
    Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()))
}

/// A deterministic random number generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 += 1;
        blk_plan::mix(self.0) % end
    }
}

/// A number from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}
