//! ATA8-ACS, "READ LOG EXT": the directory, and what went wrong with a queued command.

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
    /// Remembers that a queued command failed, until its driver asks.
    pub(in crate::ahci) fn queued_failed(&self, tag: u8, end: TaskFile) {
        self.settings().queued_error = Some(QueuedError { tag, end });
    }

    pub(super) fn read_log(&self, fis: &CommandFis, protocol: Protocol) -> Step {
        let [log, ..] = fis.lba().to_le_bytes();
        // One page each, which is the first.
        if fis.count() != 1 || fis.lba() & 0xff_0000_ff00 != 0 {
            return Step::abort(fis);
        }
        let mut page = vec![0; PAGE];
        match log {
            DIRECTORY => {
                // The version, and for each log how many pages it has.
                page[0] = 1;
                page[2 * usize::from(QUEUED_ERROR)] = 1;
            }
            QUEUED_ERROR => {
                // Reading it is what ends the error.
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
