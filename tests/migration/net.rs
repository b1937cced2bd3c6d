//! A guest that answers over a bridge continues to answer.

use std::{
    fs::OpenOptions,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::{
    network::Namespace,
    sides::{Side, place},
    support::{guest, no_kvm},
};

#[test]
fn a_guest_answers_before_and_after_its_move() {
    answers("off");
}

/// The kernel notes the pages that it writes.
#[test]
fn a_guest_whose_frames_the_kernel_moves_does_so_too() {
    match OpenOptions::new().read(true).write(true).open("/dev/vhost-net") {
        Ok(_) => answers("on"),
        Err(error) => println!("skipped: /dev/vhost-net: {error}"),
    }
}

fn answers(vhost: &str) {
    if no_kvm() {
        return;
    }
    let Some(namespace) = Namespace::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut command = namespace.nvmm();
    command.arg("--kernel").arg(guest("network")).args(["--memory", "16M", "--cmdline", "a2"]);
    let mut side = Side::start(folder.path(), "0", command, &["--net", &format!("bridge=br0,vhost={vhost}")]);
    let said = side.prints("ready\n");
    assert!(namespace.answers("10.0.0.2/7"));
    for number in 1..4 {
        let name = number.to_string();
        let mut command = namespace.nvmm();
        command.args(["--incoming", &place(folder.path(), &name)]);
        let next = Side::start(folder.path(), &name, command, &[]);
        assert!(next.waits(folder.path(), &name));
        // All memory is compared, including the pages that the device writes meanwhile.
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let _ = namespace.udp("10.0.0.2/7", "load");
                }
            });
            let output = side.migrate(&place(folder.path(), &name), &["verify=on", "downtime-limit=0"]);
            over.store(true, Ordering::SeqCst);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        });
        assert_eq!(side.nvmm.status_in_time(), Some(0));
        side = next;
        assert!(namespace.answers("10.0.0.2/7"), "after {number} moves of {said}");
    }
    assert_eq!(namespace.interfaces().len(), 1);
}
