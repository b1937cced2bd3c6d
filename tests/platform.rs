//! The platform's devices, as tiny guests on any /dev/kvm find them.

#[path = "support/mod.rs"]
mod support;

use support::{no_kvm, run};

/// What the guest `clocks` prints.
fn clocks(cmdline: &str) -> String {
    let output = run("clocks", &["--cmdline", cmdline]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(21 << 1 | 1), "{printed}{said}");
    printed
}

#[test]
fn the_pm_timer_runs() {
    if no_kvm() {
        return;
    }
    assert_eq!(clocks("timer"), "0.1 s, and the halves agree\n");
}
