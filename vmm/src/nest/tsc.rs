//! Waits until the kernel has measured the rate of its TSC.
//!
//! Linux estimates it early in a boot, and measures it better in the following seconds. On some CPUs KVM keeps the rate that it finds when
//! its module is loaded; if that was a bad estimate, its guests stall from time to time. Programs that load KVM as early as /init should
//! wait.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// The clock source while the rate is an estimate. Linux, "arch/x86/kernel/tsc.c", `clocksource_tsc_early`.
const EARLY: &str = "tsc-early";

/// Measuring takes about a second. After this time, KVM is loaded anyway.
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(50);

/// Waits while the rate is an estimate, up to ten seconds.
pub(super) fn settle() {
    settle_by(Path::new(CLOCK_SOURCE), PATIENCE);
}

/// Returns whether it has been measured by then, according to `source`.
fn settle_by(source: &Path, patience: Duration) -> bool {
    let start = Instant::now();
    let early = || fs::read_to_string(source).is_ok_and(|name| name.trim() == EARLY);
    while early() {
        if start.elapsed() >= patience {
            return false;
        }
        thread::sleep(TICK);
    }
    true
}

#[cfg(test)]
#[path = "tsc_test.rs"]
mod tests;
