//! The configuration that the driver reads.

use zerocopy::{
    Immutable, IntoBytes,
    little_endian::{U16, U32, U64},
};

use super::BlockOptions;
use crate::disk::{BlockSize, SECTOR_SIZE};

/// The most segments in a request: with header and status, it is a chain of 1024 buffers.
const MAX_SEGMENTS: u16 = 1022;

/// virtio 1.3, "Block Device", "Device configuration layout": `struct virtio_blk_config`, as far as the features
/// offered reach.
#[derive(Debug, Immutable, IntoBytes)]
#[repr(C)]
pub(super) struct Config {
    /// In sectors of 512 bytes.
    capacity: U64,
    size_max: U32,
    seg_max: U32,
    cylinders: U16,
    heads: u8,
    sectors: u8,
    blk_size: U32,
    /// Logical blocks in a physical one, as a power of two.
    physical_block_exp: u8,
    alignment_offset: u8,
    /// In logical blocks.
    min_io_size: U16,
    opt_io_size: U32,
    writeback: u8,
    unused0: u8,
    num_queues: U16,
}

impl Config {
    pub(super) fn new(size: u64, block_size: BlockSize, options: &BlockOptions) -> Self {
        let logical = block_size.logical.max(1);
        let physical = (block_size.physical / logical).max(1);
        // All of the queue but the header and the status.
        let segments = options.queue_size.saturating_sub(2).clamp(1, MAX_SEGMENTS);
        Self {
            capacity: (size / SECTOR_SIZE).into(),
            size_max: 0.into(),
            seg_max: u32::from(segments).into(),
            cylinders: 0.into(),
            heads: 0,
            sectors: 0,
            blk_size: logical.into(),
            physical_block_exp: u8::try_from(physical.ilog2()).unwrap_or(0),
            alignment_offset: 0,
            min_io_size: u16::try_from(physical).unwrap_or(1).into(),
            opt_io_size: (block_size.optimal / logical).into(),
            writeback: 0,
            unused0: 0,
            num_queues: options.queues.into(),
        }
    }
}
