//! Moves at random moments of a guest that constantly writes to its disk and its console.

use std::{io::Read, thread, time::Duration};

use crate::{
    blk_plan,
    images::{Image, ImageKind, no_qemu_img},
    sides::{Side, place},
    support::no_kvm,
    written,
};

const MOVES: u64 = 8;

#[test]
fn on_raw_by_io_uring() {
    move_often(ImageKind::Raw, ",aio=io_uring");
}

#[test]
fn on_raw_by_threads() {
    move_often(ImageKind::Raw, ",aio=threads,queues=2");
}

#[test]
fn on_qcow2() {
    move_often(ImageKind::Qcow2, "");
}

#[test]
fn on_an_overlay() {
    move_often(ImageKind::OverlayOfRaw, "");
}

#[test]
fn on_sata() {
    move_often(ImageKind::Raw, ",bus=sata");
}

/// Moves a machine repeatedly, and finally compares its disk with the expected contents.
fn move_often(kind: ImageKind, options: &str) {
    if no_kvm() || no_qemu_img(kind) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = Image::new(kind, folder.path(), "64k");
    let letters = if options.contains("bus=sata") { "1ra" } else { "1r" };
    let disk = format!("{}{options}", image.option());
    let mut side = Side::source(folder.path(), "0", "blk_durable", &["--disk", &disk, "--cmdline", letters]);
    let mut stdout = side.nvmm.0.stdout.take().unwrap();
    crate::support::expect(&mut stdout, "ready\n");
    let mut seen = String::new();
    for number in 1..=MOVES {
        for _ in 0..blk_plan::mix(number) % 4 {
            seen += &crate::support::expect(&mut stdout, "\n");
        }
        thread::sleep(Duration::from_micros(blk_plan::mix(number + 100) % 30_000));
        let name = number.to_string();
        let mut next = Side::destination(folder.path(), &name, &[]);
        side.moves(&place(folder.path(), &name), &["verify=on"]);
        stdout.read_to_string(&mut seen).unwrap();
        stdout = next.nvmm.0.stdout.take().unwrap();
        side = next;
    }
    for _ in 0..3 {
        seen += &crate::support::expect(&mut stdout, "\n");
    }
    // Unlike a signal, this loses none of the guest's output.
    side.client().call("quit", &serde_json::json!({})).unwrap();
    stdout.read_to_string(&mut seen).unwrap();
    side.nvmm.status();
    let done = written::check(&seen, &image);
    println!("{kind:?}{options}: {MOVES} moves, {done} rounds");
}
