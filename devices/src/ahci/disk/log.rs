//! ATA8-ACS, "READ LOG EXT": the directory, and what went wrong with a queued command.

use super::AtaDisk;
use crate::ahci::{
    drive::Step,
    fis::{CommandFis, TaskFile},
    shared::Protocol,
};

/// "Log address definition".
const DIRECTORY: u8 = 0x00;
const QUEUED_ERROR: u8 = 0x10;

const PAGE: usize = 512;

/// A queued command that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueuedError {
    tag: u8,
    end: TaskFile,
}

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

impl QueuedError {
    /// "NCQ Command Error log".
    fn write(&self, page: &mut [u8]) {
        let TaskFile { status, error, lba, device, count } = self.end;
        let [a, b, c, d, e, f, ..] = lba.to_le_bytes();
        let [low, high] = count.to_le_bytes();
        let entry = [self.tag, 0, status.bits(), error, a, b, c, device, d, e, f, 0, low, high];
        page[..entry.len()].copy_from_slice(&entry);
    }
}

/// The byte that makes the sum of all 0.
pub(super) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)).wrapping_neg()
}
