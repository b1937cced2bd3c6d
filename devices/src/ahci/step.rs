//! The next step in carrying out a command.

use std::sync::Arc;

use super::{
    fis::{CommandFis, TaskFile},
    registers::Error,
    shared::Protocol,
};
use crate::{block::Operation, disk::Disk};

/// The next step in carrying out a command.
#[derive(Debug)]
pub(super) enum Step {
    /// Moves exactly `len` bytes between memory and the disk.
    Transfer { operation: Operation, len: usize, protocol: Protocol },
    /// Reads `len` bytes of a medium from the start of `sector`, a unit of 512 bytes.
    Medium { disk: Arc<dyn Disk>, sector: u64, len: usize },
    /// Gives the driver these bytes, or as many as it has room for.
    Give { data: Vec<u8>, protocol: Protocol },
    /// Reads `len` bytes of ranges to discard from the driver.
    Trim { len: usize },
    /// Nothing is left to do.
    Done(TaskFile),
    /// The command is refused.
    Fail(TaskFile),
}

impl Step {
    /// Refuses a command that the drive lacks.
    pub(super) fn abort(fis: &CommandFis) -> Self {
        Self::Fail(TaskFile::failed(fis, Error::ABORT))
    }
}
