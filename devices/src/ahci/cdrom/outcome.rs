//! The outcome of a packet.

use std::sync::Arc;

use crate::disk::Disk;

/// The outcome of a command.
#[derive(Debug)]
pub(super) enum Packet {
    Done,
    Give(Vec<u8>),
    Read { disk: Arc<dyn Disk>, sector: u64, len: usize },
}
