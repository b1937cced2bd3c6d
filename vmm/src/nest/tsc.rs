//! Waiting until the kernel knows the rate of its TSC.
//!
//! Linux estimates it early in a boot, and measures it better during the next seconds. On some CPUs KVM keeps the rate that it
//! finds when its module is loaded; its guests stall now and then if that was an estimate far off. What loads KVM as early
//! as /init does should wait.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// The clock source while the rate is an estimate. Linux, "arch/x86/kernel/tsc.c", `clocksource_tsc_early`.
const EARLY: &str = "tsc-early";

/// It takes about a second; where it fails, KVM is loaded all the same.
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(50);

/// Waits while the rate is an estimate, up to ten seconds.
pub(super) fn settle() {
    settle_by(Path::new(CLOCK_SOURCE), PATIENCE);
}

/// Returns whether it has been measured by then, as far as `source` tells.
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
