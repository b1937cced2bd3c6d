//! The way to carry out a command.

use std::sync::Arc;

use super::{
    fis::{CommandFis, TaskFile},
    registers::Error,
    shared::Protocol,
};
use crate::{block::Operation, disk::Disk};

/// The way to carry out a command.
#[derive(Debug)]
pub(super) enum Step {
    /// Moves `len` bytes between memory and the disk, none of which may be lacking.
    Transfer { operation: Operation, len: usize, protocol: Protocol },
    /// Reads `len` bytes of a medium from the start of `sector`, a unit of 512 bytes.
    Medium { disk: Arc<dyn Disk>, sector: u64, len: usize },
    /// Gives the driver these bytes, as far as it has room.
    Give { data: Vec<u8>, protocol: Protocol },
    /// Takes `len` bytes that name what is to be given back.
    Trim { len: usize },
    /// Nothing is left to do.
    Done(TaskFile),
    /// The command is refused.
    Fail(TaskFile),
}

impl Step {
    /// A command that the drive does not have.
    pub(super) fn abort(fis: &CommandFis) -> Self {
        Self::Fail(TaskFile::failed(fis, Error::ABORT))
    }
}
