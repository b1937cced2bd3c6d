//! Checks that the kernel could unpack all of its initramfs.
//!
//! The kernel runs /init even if it could not. Then files that don't fit are truncated or missing, and the programs that use them fail for
//! misleading reasons.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::bail;

/// The beginnings of the kernel's messages about a failure, depending on its configuration, and the reason if memory was too small. Linux,
/// "init/initramfs.c", `do_populate_rootfs` and `populate_initrd_image`.
const FAILURES: [&str; 2] =
    ["Initramfs unpacking failed: write error", "rootfs image is not initramfs (write error)"];
/// The most bytes of a record. Linux, "include/linux/printk.h", `CONSOLE_EXT_LOG_MAX`.
const RECORD_MAX: usize = 8192;

/// Looks for a failure in the kernel's log.
///
/// # Errors
///
/// There was a failure.
pub(super) fn check() -> anyhow::Result<()> {
    let log = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
    // The kernel keeps no log.
    let Ok(log) = log else { return Ok(()) };
    match find(log) {
        Some(failure) => bail!(
            "the initramfs did not fit into the level's memory (Linux says: {failure}); give a larger --memory, or less to --add"
        ),
        None => Ok(()),
    }
}

/// The failure in a log that returns one record at each read.
fn find(mut log: impl Read) -> Option<&'static str> {
    let mut record = vec![0; RECORD_MAX];
    loop {
        match log.read(&mut record) {
            Ok(0) => return None,
            Ok(len) => {
                if let Some(failure) = failure(&record[..len]) {
                    return Some(failure);
                }
            }
            // Some records were overwritten before they were read. The next one is complete.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            // `WouldBlock` is the end.
            Err(_) => return None,
        }
    }
}

/// The failure in a record, whose text follows a semicolon. User space's messages in the log have another facility than the kernel's 0; the
/// facility is above the priority's three bits. Linux, "Documentation/ABI/testing/dev-kmsg".
fn failure(record: &[u8]) -> Option<&'static str> {
    let record = String::from_utf8_lossy(record);
    let (head, text) = record.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    FAILURES.into_iter().find(|failure| priority < 8 && text.starts_with(failure))
}

#[cfg(test)]
#[path = "unpacked_test.rs"]
mod tests;
