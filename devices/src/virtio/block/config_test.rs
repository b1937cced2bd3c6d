use std::sync::Arc;

use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH};

use super::{Block, VirtioDevice, bit};
use crate::{
    block::{BlockOptions, CacheMode, test_disk::TestDisk},
    disk::BlockSize,
};

/// The offset of the field.
const WRITEBACK: u64 = 32;

/// Reads `N` bytes of the configuration.
fn read<const N: usize>(block: &Block, offset: u64) -> [u8; N] {
    let mut data = [0xff; N];
    block.read_config(offset, &mut data);
    data
}

#[test]
fn describes_itself() {
    let mut block = Block::new(Arc::new(TestDisk::new(2048)), &BlockOptions::default().into());
    assert_eq!(block.kind().device_type, 2);
    assert_eq!(block.queue_sizes(), [256]);
    let always = 1 << 2 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 28 | 1 << 29;
    assert_eq!(block.features(), always | 1 << 11 | 1 << 13 | 1 << 14);

    let config = |block: &Block, offset: u64, len: usize| {
        let mut data = vec![0xff; len];
        block.read_config(offset, &mut data);
        data
    };
    let expected = [
        &2048_u64.to_le_bytes()[..],
        &[0; 4],
        &254_u32.to_le_bytes(),
        &[0; 4],
        &512_u32.to_le_bytes(),
        &[3, 0],
        &8_u16.to_le_bytes(),
        &[0; 4],
        &[1, 0],
        &1_u16.to_le_bytes(),
        &[0x20_0000, 32, 8].map(u32::to_le_bytes).concat(),
        &[0x2_0000, 32].map(u32::to_le_bytes).concat(),
        &[1, 0, 0, 0],
        &[0; 4],
    ]
    .concat();
    assert_eq!(config(&block, 0, 64), expected);
    for offset in 0..64 {
        assert_eq!(config(&block, offset, 1)[0], expected[usize::try_from(offset).unwrap()]);
    }
    assert_eq!(config(&block, 24, 12), expected[24..36]);
    for offset in [60, 61, 1 << 32, u64::MAX] {
        assert_eq!(config(&block, offset, 4), [0; 4]);
    }
    block.features_agreed(block.features());
    block.write_config(0, &[0xff; 64]);
    block.write_config(0, &[0; 64]);
    for offset in (0..64).filter(|&offset| offset != WRITEBACK) {
        block.write_config(offset, &[0]);
        block.write_config(offset, &[1]);
    }
    assert_eq!(config(&block, 0, 64), expected);

    let options = BlockOptions { discard: false, ..BlockOptions::default() };
    let block = Block::new(Arc::new(TestDisk::new(2048)), &options.into());
    assert_eq!(block.features(), always | 1 << 11 | 1 << 14);
    assert_eq!(config(&block, 36, 12), [0; 12]);
    assert_eq!(config(&block, 48, 8), expected[48..56]);
    assert_eq!(config(&block, 56, 4), [0; 4]);

    let read_only = TestDisk { read_only: true, ..TestDisk::new(1) };
    let block = Block::new(Arc::new(read_only), &BlockOptions::default().into());
    assert_eq!(block.features(), always | 1 << 5);
    assert_eq!(config(&block, 32, 28), [&[0, 0, 1, 0][..], &[0; 24]].concat());
}

/// virtio 1.3, "Block Device", "Device Initialization" and "Device Operation".
#[test]
fn the_driver_switches_the_write_cache() {
    let wce = bit(VIRTIO_BLK_F_CONFIG_WCE);
    let flush = bit(VIRTIO_BLK_F_FLUSH);
    for (cache, before, initial) in [
        (CacheMode::Writeback, 1, [0, 1]),
        (CacheMode::Writethrough, 0, [0, 0]),
        (CacheMode::Unsafe, 1, [0, 1]),
    ] {
        let options = BlockOptions { cache, ..BlockOptions::default() };
        let mut block = Block::new(Arc::new(TestDisk::new(1)), &options.into());
        for features in [flush | wce, wce, flush, 0] {
            assert_eq!(read(&block, WRITEBACK), [before]);
            block.write_config(WRITEBACK, &[1 - before]);
            assert_eq!(read(&block, WRITEBACK), [before], "too early");

            block.features_agreed(features);
            let mut now = initial[usize::from(features & flush != 0)];
            assert_eq!(read(&block, WRITEBACK), [now], "{cache:?} {features:#x}");
            for (offset, data, taken) in [
                (WRITEBACK, &[0][..], true),
                (WRITEBACK, &[1], true),
                (WRITEBACK, &[0], true),
                (WRITEBACK, &[2], false),
                (WRITEBACK, &[0xff], false),
                (WRITEBACK, &[1, 0], false),
                (WRITEBACK, &[1, 0, 0, 0], false),
                (WRITEBACK - 1, &[1, 1], false),
                (WRITEBACK + 1, &[1], false),
                (WRITEBACK | 1 << 32, &[1], false),
                (WRITEBACK, &[], false),
                (WRITEBACK, &[1], true),
            ] {
                block.write_config(offset, data);
                if taken && features & wce != 0 {
                    now = data[0];
                }
                assert_eq!(read(&block, WRITEBACK), [now], "{cache:?} {features:#x} {offset} {data:?}");
            }
            block.reset();
        }
    }
}

#[test]
fn has_as_many_queues_as_asked() {
    let disk = || Arc::new(TestDisk::new(1));
    for queues in [1, 2, BlockOptions::MAX_QUEUES] {
        let block = Block::new(disk(), &BlockOptions { queues, ..BlockOptions::default() }.into());
        assert_eq!(block.queue_sizes(), vec![256; queues.into()]);
        assert_eq!(block.features() & 1 << 12 != 0, queues > 1);
        assert_eq!(read::<2>(&block, 34), queues.to_le_bytes());
    }
    for (queue_size, segments) in [(2, 1_u32), (4, 2), (128, 126), (BlockOptions::MAX_QUEUE_SIZE, 1022)] {
        let block = Block::new(disk(), &BlockOptions { queue_size, ..BlockOptions::default() }.into());
        assert_eq!(block.queue_sizes(), [queue_size]);
        assert_eq!(read::<4>(&block, 12), segments.to_le_bytes());
    }
}

#[test]
fn the_configuration_has_the_disks_block_sizes() {
    for (block_size, expected) in [
        (BlockSize { logical: 512, physical: 512, optimal: 0, discard: 512 }, (512, 0, 1, 0)),
        (BlockSize { logical: 512, physical: 4096, optimal: 65536, discard: 4096 }, (512, 3, 8, 128)),
        (BlockSize { logical: 4096, physical: 4096, optimal: 1 << 20, discard: 4096 }, (4096, 0, 1, 256)),
    ] {
        let disk = TestDisk { block_size, ..TestDisk::new(8) };
        let block = Block::new(Arc::new(disk), &BlockOptions::default().into());
        let (size, exponent, min, opt): (u32, u8, u16, u32) = expected;
        assert_eq!(read::<4>(&block, 20), size.to_le_bytes());
        assert_eq!(read::<2>(&block, 24), [exponent, 0]);
        assert_eq!(read::<2>(&block, 26), min.to_le_bytes());
        assert_eq!(read::<4>(&block, 28), opt.to_le_bytes());
    }
}
