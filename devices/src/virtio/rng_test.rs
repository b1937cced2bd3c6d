use std::{io::Write, time::Instant};

use proptest::prelude::*;
use rustix::fs::{CWD, Mode};
use virtio_queue::QueueT;

use super::{Rng, *};
use crate::{
    testing::said_by,
    virtio::{
        queue::test_driver::{Driver, FREE, NEXT, WRITE, any_table},
        test_machine::{Event, LONG, TestMachine},
    },
};

/// The addresses of the driver's buffers.
const DATA: u64 = FREE;

fn machine(path: &Path) -> TestMachine<Rng> {
    let mut machine = TestMachine::new(Rng::new(Arc::new(Source::open(path).unwrap())), 1);
    machine.activate(0);
    machine
}

#[test]
fn a_driver_gets_random_bytes() {
    let mut machine = machine(Path::new("/dev/urandom"));
    assert_eq!(machine.device.kind().device_type, 4);
    assert_eq!(machine.device.queue_sizes(), [8]);
    let mut config = [0xff; 4];
    machine.device.read_config(0, &mut config);
    assert_eq!(config, [0; 4], "it has no configuration");

    assert_eq!(machine.request(0, &[(DATA, 64, WRITE)]), 64);
    let first = machine.drivers[0].read(DATA, 64);
    assert_eq!(machine.request(0, &[(DATA, 64, WRITE)]), 64);
    let second = machine.drivers[0].read(DATA, 64);
    assert_ne!(first, second);
    assert!([&first, &second].iter().all(|bytes| **bytes != [0; 64]));
    assert_eq!(machine.drivers[0].read(DATA + 64, 64), [0; 64]);
}

#[test]
fn a_request_gets_no_more_than_its_share() {
    let mut machine = machine(Path::new("/dev/zero"));
    for (len, expected) in [(1, 1), (4095, 4095), (4096, 4096), (0x10_0000, 4096)] {
        machine.drivers[0].write(DATA, &vec![0xaa; 0x2000]);
        let written = machine.request(0, &[(DATA, len, WRITE)]);
        assert_eq!(written, expected);
        let data = machine.drivers[0].read(DATA, 0x2000);
        let expected = usize::try_from(expected).unwrap();
        assert!(data[..expected].iter().all(|&byte| byte == 0));
        assert!(data[expected..].iter().all(|&byte| byte == 0xaa));
    }
    // A readable buffer is not an error of the rings; the device has no use for it.
    assert_eq!(machine.request(0, &[(DATA, 16, 0)]), 0);
    assert_eq!(machine.request(0, &[(DATA, 16, 0), (DATA, 1, WRITE), (DATA, 9, WRITE)]), 1);
}

#[test]
fn bytes_come_as_they_are_in_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"0123456789").unwrap();
    let mut machine = machine(file.path());
    assert_eq!(machine.request(0, &[(DATA, 4, WRITE)]), 4);
    machine.pause_and_resume(0);
    assert_eq!(machine.request(0, &[(DATA + 4, 100, WRITE)]), 6);
    assert_eq!(machine.drivers[0].read(DATA, 10), b"0123456789");
}

/// A source may run dry: the guest waits, but neither a reset nor a pause does.
#[test]
fn a_guest_waits_for_a_source_that_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
    let mut machine = machine(&path);
    machine.offer(0, &[(DATA, 8, WRITE)]);
    machine.offer(0, &[(DATA + 8, 8, WRITE)]);
    let queues = machine.device.stop(Halt::Pause, LONG).unwrap();
    assert_eq!((queues[0].1.next_avail(), queues[0].1.next_used()), (0, 0));
    machine.activate_on(queues, 0);
    let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
    writer.write_all(b"abc").unwrap();
    assert_eq!(machine.event(), Event::Used(0));
    assert_eq!(machine.drivers[0].used().unwrap().1, 3);
    writer.write_all(b"defghijklmnop").unwrap();
    assert_eq!(machine.event(), Event::Used(0));
    assert_eq!(machine.drivers[0].used().unwrap().1, 8);
    assert_eq!(machine.drivers[0].read(DATA, 3), b"abc");
    assert_eq!(machine.drivers[0].read(DATA + 8, 8), b"defghijk");
    machine.offer(0, &[(DATA, 8, WRITE); 2]);
    machine.device.reset();
}

#[test]
fn unsuitable_sources_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |path: &Path| Source::open(path).unwrap_err().kind();
    assert_eq!(kind(dir.path()), ErrorKind::IsADirectory);
    assert_eq!(kind(&dir.path().join("none")), ErrorKind::NotFound);
}

/// Both can happen as often as the guest likes.
#[test]
fn troubles_are_logged_once() {
    let source = Arc::new(Source::open(Path::new("/dev/null")).unwrap());
    let mut driver = Driver::new(8);
    let memory = driver.memory.clone();
    let said = said_by(|| {
        for _ in 0..3 {
            driver.chain(&[(DATA, 5, WRITE)]);
            let chain = driver.rings(&memory).pop().unwrap().unwrap();
            assert_eq!(
                source.read(&mut chain.writable.range(0, MOST).next().unwrap()).unwrap_err().kind(),
                ErrorKind::UnexpectedEof
            );
            source.failed(0, &ServeError::Wait(io::Error::other("x")));
            source.no_bytes.warn(format_args!("dry"));
        }
    });
    assert_eq!(said, ["rng /dev/null: it stops until the guest resets it: can't wait for the driver", "dry"]);
}

#[test]
fn a_broken_ring_needs_a_reset_and_a_reset_mends_it() {
    let mut machine = machine(Path::new("/dev/zero"));
    for _ in 0..3 {
        machine.drivers[0].describe_own(3, (DATA, 1, NEXT, 3));
        machine.drivers[0].offer(3);
        machine.kick(0);
        assert_eq!(machine.event(), Event::NeedsReset);
        machine.device.reset();
        machine.activate(0);
        assert_eq!(machine.request(0, &[(DATA, 5, WRITE)]), 5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For any rings, each chain is answered or the device needs a reset; nothing else is written.
    #[test]
    fn hostile_chains(table in any_table(8), heads in prop::collection::vec(0..9_u16, 1..8)) {
        let mut machine = machine(Path::new("/dev/zero"));
        for (index, &descriptor) in (0..).zip(&table) {
            machine.drivers[0].describe_own(index, descriptor);
        }
        heads.iter().for_each(|&head| machine.drivers[0].offer(head));
        machine.kick(0);
        let start = Instant::now();
        let mut answered = 0;
        while answered < heads.len() {
            prop_assert!(start.elapsed() < LONG);
            match machine.event() {
                Event::Used(_) => {
                    while let Some((_, written)) = machine.drivers[0].used() {
                        prop_assert!(written as usize <= MOST);
                        answered += 1;
                    }
                }
                Event::NeedsReset => break,
                Event::ConfigChanged => panic!("it has not changed"),
            }
        }
        machine.device.reset();
    }
}
