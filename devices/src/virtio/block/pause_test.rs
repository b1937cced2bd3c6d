//! Pauses of a device that has much on its way, or a disk that doesn't answer.

use std::num::NonZeroU64;

use virtio_bindings::virtio_blk::VIRTIO_BLK_T_IN;
use virtio_queue::QueueT;

use super::{
    stop_tests::{huge, start},
    tests::{DATA, Event, HEADER, Machine, STATUS, WRITEBACK, disks},
    *,
};
use crate::{
    block::{
        check_io_uring,
        slow_disk::{LONG, SlowDisk},
        test_disk::TestDisk,
    },
    state::testing::{load, saved},
    virtio::queue::test_driver::WRITE,
};

/// The single queue that a device returns.
fn paused(machine: &mut Machine) -> Queue {
    let mut queues = machine.block.stop(Halt::Pause, LONG).expect("it stops");
    assert_eq!(queues.len(), 1);
    queues.remove(0).1
}

#[test]
fn a_pause_waits_for_what_was_begun() {
    // By the queue's thread.
    let disk = Arc::new(SlowDisk::default());
    let mut machine = start(&disk);
    machine.start(VIRTIO_BLK_T_IN, 8, &huge(WRITE));
    disk.wait_for(1);
    machine.start(VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]);
    assert!(machine.block.stop(Halt::Pause, Duration::ZERO).is_none(), "the disk doesn't answer");
    disk.open_gate();
    let queue = paused(&mut machine);
    assert_eq!(disk.state().calls.len(), 250, "all of it was read");
    assert_eq!((queue.next_avail(), queue.next_used()), (1, 1), "and the next was not begun");
    assert_eq!(machine.driver.used().map(|(_, len)| len), Some((250 << 20) + 1));
    assert_eq!(machine.event(), Some(Event::Used(0)));
    machine.activate_on(queue, bit(VIRTIO_BLK_F_FLUSH));
    assert_eq!(machine.event(), Some(Event::Used(0)), "without a kick");
    assert_eq!(machine.driver.used().map(|(_, len)| len), Some(513));

    // By the kernel, if there is io_uring.
    if check_io_uring().is_err() {
        return;
    }
    let disk = Arc::new(SlowDisk::on_a_pipe());
    let mut machine = start(&disk);
    for _ in 0..2 {
        machine.start(VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]);
    }
    disk.wait_for(2);
    assert!(machine.block.stop(Halt::Pause, Duration::ZERO).is_none(), "the kernel waits");
    let (_, writer) = disk.pipe.as_ref().unwrap();
    rustix::io::write(writer, &[0x5a; 1024]).unwrap();
    let queue = paused(&mut machine);
    assert_eq!((queue.next_avail(), queue.next_used()), (2, 2));
    for _ in 0..2 {
        assert_eq!(machine.driver.used().map(|(_, len)| len), Some(513));
    }
}

#[test]
fn a_reset_does_not_wait_for_a_pause() {
    if check_io_uring().is_err() {
        return;
    }
    let disk = Arc::new(SlowDisk::on_a_pipe());
    let mut machine = start(&disk);
    machine.start(VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]);
    disk.wait_for(1);
    assert!(machine.block.stop(Halt::Pause, Duration::ZERO).is_none(), "the kernel waits");
    assert!(machine.block.stop(Halt::Reset, LONG).is_some());
}

/// Whenever a pause comes, each request is carried out and answered once.
#[test]
fn pauses_lose_nothing() {
    const REQUESTS: u16 = 20;
    for disk in disks() {
        for iops in [None, NonZeroU64::new(20_000)] {
            let mut machine = Machine::new(Arc::clone(&disk));
            machine.block =
                Block::new(Arc::clone(&disk), &BlockOptions { iops, ..BlockOptions::default() }.into());
            let features = bit(VIRTIO_BLK_F_FLUSH);
            machine.activate(features);
            for round in 0..100_u16 {
                let own = |request: u16| 0x1000 * u64::from(request);
                for request in 0..REQUESTS {
                    let sector = u64::from((request + round) % 64);
                    machine.driver.write(
                        HEADER + 16 * u64::from(request),
                        &[&[0; 8][..], &sector.to_le_bytes()].concat(),
                    );
                    machine.driver.write(STATUS + u64::from(request), &[0xaa]);
                    machine.driver.chain(&[
                        (HEADER + 16 * u64::from(request), 16, 0),
                        (DATA + own(request), 512, WRITE),
                        (STATUS + u64::from(request), 1, WRITE),
                    ]);
                    machine.kick.write(1).unwrap();
                }
                let queues = machine.block.stop(Halt::Pause, Duration::from_secs(60)).unwrap();
                let [(0, queue)] = <[_; 1]>::try_from(queues).unwrap() else { panic!("it has one queue") };
                assert_eq!(queue.next_avail(), queue.next_used(), "all that was begun is answered");
                machine.activate_on(queue, features);
                let mut answered = 0;
                while answered < REQUESTS {
                    assert_eq!(machine.event(), Some(Event::Used(0)), "round {round}");
                    while let Some((_, len)) = machine.driver.used() {
                        assert_eq!(len, 513);
                        answered += 1;
                    }
                }
                assert_eq!(answered, REQUESTS);
                for request in 0..REQUESTS {
                    assert_eq!(machine.driver.read(STATUS + u64::from(request), 1), [0]);
                    let sector = (request + round) % 64;
                    assert_eq!(
                        machine.driver.read(DATA + own(request), 512),
                        sector.to_le_bytes().repeat(256)
                    );
                }
            }
            machine.block.reset();
        }
    }
}

#[test]
fn the_write_cache_is_the_devices_own_state() {
    let features = bit(VIRTIO_BLK_F_CONFIG_WCE) | bit(VIRTIO_BLK_F_FLUSH);
    for writeback in [0, 1] {
        let mut machines = [(); 2].map(|()| Machine::new(Arc::new(TestDisk::new(64))));
        let [first, second] = &mut machines;
        first.block.features_agreed(features);
        first.block.write_config(WRITEBACK, &[writeback]);
        let state = saved(&first.block);
        second.block.features_agreed(features);
        load(&mut second.block, &state).unwrap();
        let mut data = [0xff];
        second.block.read_config(WRITEBACK, &mut data);
        assert_eq!(data, [writeback]);
        assert!(load(&mut second.block, &serde_json::Value::Null).is_err());
    }
}
