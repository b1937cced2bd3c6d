//! Memory that a restored guest returns to the host.

use std::io::Write;

use crate::{
    control::Machine,
    saved::{Restored, WAYS, path, restore},
    support::{expect, expect_end, no_kvm},
};

/// Returned pages read as zeros, instead of with the snapshot's contents.
#[test]
fn pages_that_are_given_back_are_gone() {
    if no_kvm() {
        return;
    }
    let mut machine = Machine::start("balloon", &["--rng", "off", "--balloon", "--cmdline", "wait"]);
    machine.prints("ready\n");
    machine.ask(&["snapshot", path(&machine, "snap").to_str().unwrap(), "--stop"]);
    for way in WAYS {
        let options = ["--restore-memory", way];
        let mut again =
            Restored::start(&mut restore(machine.folder.path(), &path(&machine, "snap"), &options));
        again.0.0.stdin.as_mut().unwrap().write_all(b"..").unwrap();
        let output = again.0.0.stdout.as_mut().unwrap();
        assert_eq!(expect(output, "\n"), "inflated 55 0 0 55\n", "{way}");
        assert_eq!(expect_end(output), "ready\nreported 55 0 0 55\n", "{way}");
        assert_eq!(again.0.status(), Some(1));
    }
}
