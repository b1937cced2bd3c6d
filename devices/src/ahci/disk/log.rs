//! ATA8-ACS, "READ LOG EXT": the directory of logs, and the log with the error of a queued command.

use arch::checksum;

use super::{AtaDisk, queued_error::QueuedError};
use crate::ahci::{
    fis::{CommandFis, TaskFile},
    shared::Protocol,
    step::Step,
};

/// "Log address definition".
const DIRECTORY: u8 = 0x00;
const QUEUED_ERROR: u8 = 0x10;

const PAGE: usize = 512;

impl AtaDisk {
    /// Keeps the error of a queued command until the driver asks for it.
    pub(in crate::ahci) fn queued_failed(&self, tag: u8, end: TaskFile) {
        self.settings().queued_error = Some(QueuedError { tag, end });
    }

    pub(super) fn read_log(&self, fis: &CommandFis, protocol: Protocol) -> Step {
        let [log, ..] = fis.lba().to_le_bytes();
        // Each log has one page: refuse other counts and other pages.
        if fis.count() != 1 || fis.lba() & 0xff_0000_ff00 != 0 {
            return Step::abort(fis);
        }
        let mut page = vec![0; PAGE];
        match log {
            DIRECTORY => {
                // The version, and then for each log its number of pages.
                page[0] = 1;
                page[2 * usize::from(QUEUED_ERROR)] = 1;
            }
            QUEUED_ERROR => {
                // Reading the log clears the error.
                match self.settings().queued_error.take() {
                    Some(error) => error.write(&mut page),
                    // "The error was not of a queued command."
                    None => page[0] = 1 << 7,
                }
                page[PAGE - 1] = checksum(&page[..PAGE - 1]);
            }
            _ => return Step::abort(fis),
        }
        Step::Give { data: page, protocol }
    }
}
