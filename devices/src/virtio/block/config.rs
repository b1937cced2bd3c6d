//! The configuration that the driver reads.

use std::mem::offset_of;

use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES};
use zerocopy::{
    FromZeros, Immutable, IntoBytes,
    little_endian::{U16, U32, U64},
};

use super::segments::{self, Limits};
use crate::{
    block::BlockOptions,
    disk::{BlockSize, SECTOR_SIZE},
};

/// [`SECTOR_SIZE`], for lengths of 32 bits.
const SECTOR_LEN: u32 = 512;

/// The most segments of a request: with header and status, it is a chain of 1024 buffers.
const MAX_SEGMENTS: u16 = 1022;

/// virtio 1.3, "Block Device", "Device configuration layout": `struct virtio_blk_config`, up to the last field of the offered features.
#[derive(Clone, Debug, FromZeros, Immutable, IntoBytes)]
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
    /// The number of logical blocks in a physical one, as a power of two.
    physical_block_exp: u8,
    alignment_offset: u8,
    /// In logical blocks.
    min_io_size: U16,
    opt_io_size: U32,
    /// The write cache is on.
    pub(super) writeback: u8,
    unused0: u8,
    num_queues: U16,
    /// In sectors of 512 bytes, in each segment.
    max_discard_sectors: U32,
    max_discard_seg: U32,
    /// In sectors of 512 bytes.
    discard_sector_alignment: U32,
    /// The same as for discards.
    max_write_zeroes_sectors: U32,
    max_write_zeroes_seg: U32,
    write_zeroes_may_unmap: u8,
    unused1: [u8; 3],
}

impl Config {
    /// The offset of the one field that the driver writes.
    pub(super) const WRITEBACK: usize = offset_of!(Self, writeback);

    /// The configuration of a disk of `size` bytes. Fields that belong to none of `features` are left zero.
    pub(super) fn new(size: u64, block_size: BlockSize, options: &BlockOptions, features: u64) -> Self {
        let logical = block_size.logical.max(1);
        let physical = (block_size.physical / logical).max(1);
        // All descriptors of the queue except for the header's and the status's.
        let segments = options.queue_size.saturating_sub(2).clamp(1, MAX_SEGMENTS);
        let mut config = Self {
            seg_max: u32::from(segments).into(),
            blk_size: logical.into(),
            physical_block_exp: u8::try_from(physical.ilog2()).unwrap_or(0),
            min_io_size: u16::try_from(physical).unwrap_or(1).into(),
            opt_io_size: (block_size.optimal / logical).into(),
            num_queues: options.queues.into(),
            ..Self::new_zeroed()
        };
        config.set_size(size);
        if features & bit(VIRTIO_BLK_F_DISCARD) != 0 {
            let Limits { sectors, segments, .. } = segments::DISCARD;
            config.max_discard_sectors = sectors.into();
            config.max_discard_seg = segments.into();
            config.discard_sector_alignment = (block_size.discard / SECTOR_LEN).into();
        }
        if features & bit(VIRTIO_BLK_F_WRITE_ZEROES) != 0 {
            let Limits { sectors, segments, .. } = segments::WRITE_ZEROES;
            config.max_write_zeroes_sectors = sectors.into();
            config.max_write_zeroes_seg = segments.into();
            config.write_zeroes_may_unmap = options.discard.into();
        }
        config
    }

    /// Sets the disk's size in bytes, and returns whether it has changed.
    pub(super) fn set_size(&mut self, size: u64) -> bool {
        let capacity = (size / SECTOR_SIZE).into();
        std::mem::replace(&mut self.capacity, capacity) != capacity
    }
}

/// The mask of a feature's number.
pub(super) fn bit(feature: u32) -> u64 {
    1 << feature
}
