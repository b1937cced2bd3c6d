//! Resets of a device that has much on its way, or a disk that doesn't answer.

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_S_OK, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
};
use virtio_queue::QueueT;

use super::{
    tests::{DATA, Event, Machine},
    *,
};
use crate::{
    block::{
        Engine, RANGE, SLICE,
        slow_disk::{LONG, SlowDisk},
    },
    disk::raw::{DiskOptions, RawDisk},
    virtio::queue::test_driver::WRITE,
};

pub(super) fn start(disk: &Arc<SlowDisk>) -> Machine {
    let mut machine = Machine::new(Arc::clone(disk) as Arc<dyn Disk>);
    machine.activate(bit(VIRTIO_BLK_F_FLUSH));
    machine
}

/// The largest request that the driver's memory and descriptors allow: 250 buffers that all are the same MiB.
pub(super) fn huge(flags: u16) -> Vec<(u64, u32, u16)> {
    vec![(DATA, 1 << 20, flags); 250]
}

#[test]
fn a_reset_cancels_what_the_kernel_waits_for() {
    let disk = Arc::new(SlowDisk::on_a_pipe());
    for _ in 0..20 {
        let mut machine = start(&disk);
        for _ in 0..80 {
            machine.start(VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]);
        }
        // Some of them have been started, and some have not.
        std::thread::yield_now();
        let queues = machine.block.stop(Halt::Reset, LONG).expect("all of them were cancelled");
        assert_eq!(queues.len(), 1);
        assert_eq!(machine.driver.used(), None, "nobody hears of them");
    }
}

#[test]
fn a_stopped_request_is_left_in_the_middle() {
    for (kind, flags) in [(VIRTIO_BLK_T_IN, WRITE), (VIRTIO_BLK_T_OUT, 0)] {
        let disk = Arc::new(SlowDisk::default());
        let mut machine = start(&disk);
        machine.start(kind, 8, &huge(flags));
        disk.wait_for(1);
        assert!(machine.block.stop(Halt::Reset, Duration::ZERO).is_none(), "the disk doesn't answer");
        assert!(machine.block.stop(Halt::Reset, Duration::from_millis(1)).is_none());
        disk.open_gate();
        let queues = machine.block.stop(Halt::Reset, LONG).expect("it ends after what it was at");
        assert_eq!(disk.state().calls, [(4096, SLICE)]);
        assert_eq!(
            queues.iter().map(|(index, queue)| (*index, queue.next_avail())).collect::<Vec<_>>(),
            [(0, 1)]
        );
        assert_eq!(machine.driver.used(), None, "nobody hears of it");
        assert_eq!(machine.block.stop(Halt::Reset, Duration::ZERO).map(|queues| queues.len()), Some(0));

        machine.reboot();
        machine.activate(bit(VIRTIO_BLK_F_FLUSH));
        assert_eq!(machine.request(kind, 0, &[(DATA, 512, flags)]).0, VIRTIO_BLK_S_OK);
    }
}

/// A discard of 1 GiB and 64 MiB of zeros, the most that a segment may have, which can take a host long.
#[test]
fn a_stopped_discard_is_left_in_the_middle() {
    for (kind, feature, sectors) in [
        (VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_F_DISCARD, 1_u32 << 21),
        (VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES, 1 << 17),
    ] {
        let disk = Arc::new(SlowDisk::default());
        let mut machine = Machine::new(Arc::clone(&disk) as Arc<dyn Disk>);
        let options = BlockOptions { discard: true, ..BlockOptions::default() };
        machine.block = Block::new(Arc::clone(&disk) as Arc<dyn Disk>, &options.into());
        machine.activate(bit(feature));
        let segment = [&8_u64.to_le_bytes()[..], &sectors.to_le_bytes(), &[0; 4]].concat();
        machine.driver.write(DATA, &segment);
        machine.start(kind, 0, &[(DATA, 16, 0)]);
        disk.wait_for(1);
        assert!(machine.block.stop(Halt::Reset, Duration::ZERO).is_none(), "the disk doesn't answer");
        disk.open_gate();
        assert!(machine.block.stop(Halt::Reset, LONG).is_some(), "it ends after what it was at");
        let first = usize::try_from(RANGE).unwrap() - 4096;
        assert_eq!(disk.state().calls, [(4096, first)], "up to where no cluster is cut");
        assert_eq!(machine.driver.used(), None, "nobody hears of it");

        machine.reboot();
        machine.activate(bit(feature));
        machine.driver.write(DATA, &segment);
        assert_eq!(machine.request(kind, 0, &[(DATA, 16, 0)]).0, VIRTIO_BLK_S_OK);
        let calls = disk.state().calls.split_off(1);
        let mut end = 4096;
        for (at, len) in calls {
            assert_eq!(at, end, "one after the other");
            assert!(len > 0 && len as u64 <= RANGE);
            end = at + len as u64;
        }
        assert_eq!(end, 4096 + u64::from(sectors) * 512, "all of it");
    }
}

#[test]
fn a_huge_request_is_done_in_slices() {
    let disk = Arc::new(SlowDisk::default());
    disk.open_gate();
    let mut machine = start(&disk);
    let odd = [&huge(WRITE)[..3], &[(DATA + 512, 1024, WRITE), (DATA, 512, WRITE)]].concat();
    assert_eq!(machine.request(VIRTIO_BLK_T_IN, 1, &odd), (VIRTIO_BLK_S_OK, (3 << 20) + 1537));
    let slices = [(512, SLICE), (512 + (1 << 20), SLICE), (512 + (2 << 20), SLICE), (512 + (3 << 20), 1536)];
    assert_eq!(disk.state().calls, slices);
}

/// With any engine, each byte is where it belongs.
#[test]
fn slices_make_the_whole() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let pattern: Vec<u8> = (0..=250).cycle().take(5 << 19).collect();
    for engine in [Engine::Threads, Engine::IoUring] {
        file.as_file().set_len(0).unwrap();
        file.as_file().set_len(4 << 20).unwrap();
        let disk = RawDisk::open(file.path(), &DiskOptions::default()).unwrap();
        let mut machine = start(&Arc::default());
        machine.block =
            Block::new(Arc::new(disk), &BlockOptions { engine, ..BlockOptions::default() }.into());
        machine.activate(bit(VIRTIO_BLK_F_FLUSH));
        machine.driver.write(DATA, &pattern);
        // One buffer, and several that are divided at other places than the slices.
        let pieces = |flags| {
            [(0, 0x300), (0x300, 0xf_ff00), (0x10_0200, 0x7_fe00), (0x18_0000, 0x10_0000)]
                .map(|(at, len)| (DATA + at, len, flags))
        };
        for data in [vec![(DATA, 5 << 19, 0)], pieces(0).to_vec()] {
            assert_eq!(machine.request(VIRTIO_BLK_T_OUT, 3, &data), (VIRTIO_BLK_S_OK, 1));
            let mut image = vec![0; 1536];
            image.extend_from_slice(&pattern);
            image.resize(4 << 20, 0);
            assert!(std::fs::read(file.path()).unwrap() == image, "{engine:?}");
            file.as_file().set_len(0).unwrap();
            file.as_file().set_len(4 << 20).unwrap();
        }
        std::fs::write(file.path(), [&[0; 1536][..], &pattern, &[0; 0x20_0000]].concat()).unwrap();
        for data in [vec![(DATA, 5 << 19, WRITE)], pieces(WRITE).to_vec()] {
            machine.driver.write(DATA, &vec![0; 5 << 19]);
            assert_eq!(machine.request(VIRTIO_BLK_T_IN, 3, &data), (VIRTIO_BLK_S_OK, (5 << 19) + 1));
            assert!(machine.driver.read(DATA, 5 << 19) == pattern, "{engine:?}");
        }
    }
}

#[test]
fn a_disk_that_panics_needs_a_reset_and_a_reset_mends_it() {
    let disk = Arc::new(SlowDisk::that_panics());
    let mut machine = start(&disk);
    for _ in 0..3 {
        machine.start(VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]);
        assert_eq!(machine.event(), Some(Event::NeedsReset));
        assert_eq!(machine.driver.used(), None);
        assert_eq!(
            machine.block.stop(Halt::Reset, LONG).map(|queues| queues.len()),
            Some(0),
            "the queue is lost"
        );
        machine.reboot();
        machine.activate(bit(VIRTIO_BLK_F_FLUSH));
    }
}
