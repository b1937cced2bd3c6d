use std::{
    io::ErrorKind,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::*;
use crate::{
    block::{BlockOptions, Operation, WriteCache, test_disk::TestDisk},
    disk::Disk,
    virtio::queue::test_driver::{Driver, FREE, WRITE},
    worker::Stop,
};

const LEN: usize = 4096;

/// Tries to transfer `len` bytes on `disk` without waiting. After a successful read they contain the disk's third sector.
fn transfer(
    now: &mut Now,
    disk: &Arc<TestDisk>,
    direction: Direction,
    len: usize,
    alone: bool,
) -> Option<usize> {
    let mut driver = Driver::new(16);
    let (operation, flags) = match direction {
        Direction::Read => (Operation::Read { sector: 2 }, WRITE),
        Direction::Write => (Operation::Write { sector: 2, stable: false }, 0),
    };
    driver.chain(&[(FREE + 0x1000, u32::try_from(len).unwrap(), flags)]);
    let options = BlockOptions::default();
    let cache = Arc::new(WriteCache::new(options.cache));
    let shared = Arc::clone(disk) as Arc<dyn Disk>;
    let executor = Executor::new(0, shared, options.into(), cache, Stop::default());
    let chain = driver.rings(&driver.memory).pop().unwrap().unwrap();
    let data = if direction == Direction::Read { chain.writable } else { chain.readable };
    let request = Request { operation, data, reply: () };
    let job = Job::Transfer { direction, file: 0, offset: 1024, stable: false };
    let moved = now.transfer(&executor, &request, job, alone).map(Result::unwrap);
    let stable = Job::Transfer { direction, file: 0, offset: 1024, stable: true };
    for other in [Job::Sync, stable] {
        assert!(now.transfer(&executor, &request, other, alone).is_none());
    }
    if moved.is_some() && disk.in_memory && direction == Direction::Read {
        assert_eq!(driver.read(FREE + 0x1000, 512), 2_u16.to_le_bytes().repeat(256));
    }
    moved
}

#[test]
fn a_single_request_for_cached_data_is_done_at_once() {
    let disk = Arc::new(TestDisk::new(1024));
    *disk.at_once.lock().unwrap() = Ok(LEN);
    let mut now = Now::default();
    for direction in [Direction::Read, Direction::Write] {
        for _ in 0..10 {
            assert_eq!(transfer(&mut now, &disk, direction, LEN, true), Some(LEN));
            assert_eq!(transfer(&mut now, &disk, direction, LEN, false), None);
        }
    }
    assert_eq!(disk.tries.load(Relaxed), 20);
    *disk.at_once.lock().unwrap() = Ok(LONGEST + 512);
    assert_eq!(transfer(&mut now, &disk, Direction::Read, LONGEST + 512, true), None);
}

#[test]
fn misses_are_tried_ever_less_often() {
    let disk = Arc::new(TestDisk::new(1024));
    let mut now = Now::default();
    for miss in [Err(ErrorKind::WouldBlock), Ok(512)] {
        *disk.at_once.lock().unwrap() = miss;
        disk.tries.store(0, Relaxed);
        for _ in 0..1000 {
            assert_eq!(transfer(&mut now, &disk, Direction::Read, LEN, true), None);
        }
        assert!((1..30).contains(&disk.tries.load(Relaxed)), "{disk:?}");
        // After a success, all are tried.
        *disk.at_once.lock().unwrap() = Ok(LEN);
        while transfer(&mut now, &disk, Direction::Read, LEN, true).is_none() {}
        assert_eq!(transfer(&mut now, &disk, Direction::Read, LEN, true), Some(LEN));
    }
    // The other direction is tracked separately.
    *disk.at_once.lock().unwrap() = Err(ErrorKind::WouldBlock);
    disk.tries.store(0, Relaxed);
    assert_eq!(transfer(&mut now, &disk, Direction::Write, LEN, true), None);
    assert_eq!(disk.tries.load(Relaxed), 1);
}

#[test]
fn a_file_system_that_can_not_is_asked_once() {
    let disk = Arc::new(TestDisk::new(1024));
    let mut now = Now::default();
    for _ in 0..1000 {
        assert_eq!(transfer(&mut now, &disk, Direction::Read, LEN, true), None);
    }
    assert_eq!(disk.tries.load(Relaxed), 1);
}

#[test]
fn a_disk_in_memory_needs_no_ring() {
    let disk = Arc::new(TestDisk { in_memory: true, ..TestDisk::new(1024) });
    let mut now = Now::default();
    for alone in [true, false] {
        assert_eq!(transfer(&mut now, &disk, Direction::Read, LEN, alone), Some(LEN));
    }
    assert_eq!(transfer(&mut now, &disk, Direction::Write, LEN, false), Some(LEN));
    assert_eq!(disk.bytes.lock().unwrap()[1024..1024 + LEN], [0; LEN]);
    assert_eq!(transfer(&mut now, &disk, Direction::Read, LONGEST + 512, true), None);
    assert_eq!(disk.tries.load(Relaxed), 0);
}
