//! The error of a queued command.

use crate::ahci::fis::TaskFile;

/// A queued command that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueuedError {
    pub(super) tag: u8,
    pub(super) end: TaskFile,
}

impl QueuedError {
    /// "NCQ Command Error log".
    pub(super) fn write(&self, page: &mut [u8]) {
        let TaskFile { status, error, lba, device, count } = self.end;
        let [a, b, c, d, e, f, ..] = lba.to_le_bytes();
        let [low, high] = count.to_le_bytes();
        let entry = [self.tag, 0, status.bits(), error, a, b, c, device, d, e, f, 0, low, high];
        page[..entry.len()].copy_from_slice(&entry);
    }
}
