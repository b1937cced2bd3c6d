//! The configuration that the driver reads.

use zerocopy::{
    Immutable, IntoBytes,
    little_endian::{U16, U32, U64},
};

use crate::disk::{BlockSize, SECTOR_SIZE};

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
}

impl Config {
    pub(super) fn new(size: u64, block_size: BlockSize, queue_size: u16) -> Self {
        let BlockSize { logical, physical, .. } = block_size;
        let ratio = (physical / logical.max(1)).max(1);
        Self {
            capacity: (size / SECTOR_SIZE).into(),
            size_max: 0.into(),
            // All of the queue but the header and the status.
            seg_max: u32::from(queue_size.saturating_sub(2)).into(),
            cylinders: 0.into(),
            heads: 0,
            sectors: 0,
            blk_size: logical.into(),
            physical_block_exp: u8::try_from(ratio.ilog2()).unwrap_or(0),
            alignment_offset: 0,
            min_io_size: u16::try_from(ratio).unwrap_or(1).into(),
            opt_io_size: 0.into(),
        }
    }
}
