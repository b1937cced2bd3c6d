//! The last level's kernel messages while the user's program runs.
//!
//! The kernel and /init share the console, and the kernel doesn't wait for the end of a line. A program that tests the kernel may cause
//! many messages, so /init then prints them as lines of their own. A panic or an oops goes to the console directly.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;

use devices::threads::{self, Role};

use crate::nest::pid1::Console;
use crate::nest::report::Said;

/// The messages that a kernel with the parameter `quiet` prints, from alerts to errors; it still prints emergencies itself. Linux,
/// "include/linux/kern_levels.h".
const SHOWN: RangeInclusive<u32> = 1..=3;
/// The most bytes of a record. Linux, "include/linux/printk.h", `CONSOLE_EXT_LOG_MAX`.
const RECORD_MAX: usize = 8192;

/// From now on, prints the kernel's messages on `console` from here, and not from the kernel. If that fails, the kernel continues to print
/// them.
pub(super) fn relay(console: &Console) {
    let console = console.clone();
    let Ok(log) = open() else { return };
    let relay = threads::spawn(&Role::Output("kernel log".to_owned()), move || pass_on(log, &console));
    if relay.is_ok() {
        // Only emergencies.
        let _ = fs::write("/proc/sys/kernel/printk", "1");
    }
}

fn open() -> io::Result<File> {
    let mut log = File::open("/dev/kmsg")?;
    log.seek(SeekFrom::End(0))?;
    Ok(log)
}

/// Ends with the machine.
fn pass_on(mut log: File, console: &Console) {
    let mut record = vec![0; RECORD_MAX];
    loop {
        match log.read(&mut record) {
            Ok(0) => return,
            Ok(len) => message(&record[..len]).into_iter().for_each(|text| console.say(Said::Text(text))),
            // Some records were overwritten before they were read. The next one is complete.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(_) => return,
        }
    }
}

/// The text of a message to show, as on the kernel's console. Linux, "Documentation/ABI/testing/dev-kmsg":
/// `priority,number,microseconds,flags;text`, then lines that begin with a space.
fn message(record: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(record);
    let (head, text) = text.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros: u64 = fields.nth(1)?.parse().ok()?;
    // The other bits of the priority are the facility.
    if !SHOWN.contains(&(priority & 7)) {
        return None;
    }
    let text = text.lines().next().unwrap_or_default();
    Some(format!("[{:5}.{:06}] {text}", micros / 1_000_000, micros % 1_000_000))
}

#[cfg(test)]
#[path = "kernel_log_test.rs"]
mod tests;
