use std::{
    io::Write,
    num::NonZeroU64,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH,
    VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
};
use vm_memory::Bytes;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::*;
use crate::{
    block::{Engine, SerialNumber, SerialNumberError, test_disk::TestDisk},
    disk::raw::{DiskOptions, RawDisk},
    virtio::{
        device::{ActiveQueue, Notify},
        queue::test_driver::{Driver, FREE, NEXT, WRITE},
    },
};

const QUEUE_SIZE: u16 = 256;

/// The offset of the field in the configuration.
pub(super) const WRITEBACK: u64 = 32;

pub(super) const HEADER: u64 = FREE;
pub(super) const STATUS: u64 = FREE + 0x1000;
pub(super) const DATA: u64 = FREE + 0x2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Used(u16),
    NeedsReset,
}

#[derive(Debug)]
struct TestNotify(Mutex<Sender<Event>>);

impl Notify for TestNotify {
    fn used(&self, queue: u16) {
        self.0.lock().unwrap().send(Event::Used(queue)).unwrap();
    }

    fn config_changed(&self) {
        panic!("the configuration doesn't change");
    }

    fn needs_reset(&self) {
        self.0.lock().unwrap().send(Event::NeedsReset).unwrap();
    }
}

/// The same disk, served one request at a time and, where the kernel allows it, by a ring.
pub(super) fn disks() -> [Arc<dyn Disk>; 2] {
    let disk = TestDisk::new(64);
    let mut image = tempfile::NamedTempFile::new().unwrap();
    image.write_all(&disk.bytes.lock().unwrap()).unwrap();
    [Arc::new(disk), Arc::new(RawDisk::open(image.path(), &DiskOptions::default()).unwrap())]
}

/// A device and its driver.
pub(super) struct Machine {
    pub(super) block: Block,
    pub(super) driver: Driver,
    pub(super) kick: EventFd,
    events: Receiver<Event>,
    notify: Arc<TestNotify>,
}

impl Machine {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        let serial = "nvmm-test-0123456789".parse().unwrap();
        let (sender, events) = channel();
        Self {
            block: Block::new(disk, &BlockOptions { serial, ..BlockOptions::default() }.into()),
            driver: Driver::new(QUEUE_SIZE),
            kick: EventFd::new(EFD_NONBLOCK).unwrap(),
            events,
            notify: Arc::new(TestNotify(Mutex::new(sender))),
        }
    }

    pub(super) fn activate(&mut self, features: u64) {
        self.activate_on(self.driver.queue(), features);
    }

    /// Starts the device on a queue at the position where it stopped.
    pub(super) fn activate_on(&mut self, queue: Queue, features: u64) {
        let kick = self.kick.try_clone().unwrap();
        let queue = ActiveQueue { index: 0, queue, kick };
        let notify = Arc::clone(&self.notify) as Arc<dyn Notify>;
        let memory = self.driver.memory.clone();
        self.block.activate(Activation { memory, features, queues: vec![queue], notify }).unwrap();
    }

    /// Starts over with a new driver, as after a reboot.
    pub(super) fn reboot(&mut self) {
        self.block.reset();
        self.driver = Driver::new(QUEUE_SIZE);
    }

    pub(super) fn start(&mut self, kind: u32, sector: u64, data: &[(u64, u32, u16)]) {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        self.driver.write(HEADER, &header);
        self.driver.write(STATUS, &[0xaa]);
        let chain = [&[(HEADER, 16, 0)], data, &[(STATUS, 1, WRITE)]].concat();
        self.driver.chain(&chain);
        self.kick.write(1).unwrap();
    }

    pub(super) fn event(&self) -> Option<Event> {
        self.events.recv_timeout(Duration::from_secs(20)).ok()
    }

    /// Does one request and returns its status and used length.
    pub(super) fn request(&mut self, kind: u32, sector: u64, data: &[(u64, u32, u16)]) -> (u32, u32) {
        self.start(kind, sector, data);
        assert_eq!(self.event(), Some(Event::Used(0)));
        let (_, len) = self.driver.used().unwrap();
        (self.driver.read(STATUS, 1)[0].into(), len)
    }
}

/// A setting that the driver changes before it starts the device still holds afterwards.
#[test]
fn queues_follow_the_write_cache() {
    let disk = Arc::new(TestDisk::new(64));
    let mut machine = Machine::new(Arc::clone(&disk) as Arc<dyn Disk>);
    let writeback = |machine: &Machine| {
        let mut data = [0xff];
        machine.block.read_config(WRITEBACK, &mut data);
        data[0]
    };
    let features = bit(VIRTIO_BLK_F_CONFIG_WCE) | bit(VIRTIO_BLK_F_FLUSH);
    machine.block.features_agreed(features);
    machine.block.write_config(WRITEBACK, &[0]);
    machine.activate(features);
    assert_eq!(writeback(&machine), 0);
    for (writeback, flushes) in [(0, 1), (1, 0), (0, 1)] {
        machine.block.write_config(WRITEBACK, &[writeback]);
        assert_eq!(machine.request(VIRTIO_BLK_T_OUT, 1, &[(DATA, 512, 0)]), (VIRTIO_BLK_S_OK, 1));
        assert_eq!(disk.flushes.swap(0, Relaxed), flushes);
    }
    machine.block.reset();
    assert_eq!(writeback(&machine), 1);
}

#[test]
fn serial_numbers() {
    assert_eq!("0123456789 123456789".parse::<SerialNumber>().unwrap().0, *b"0123456789 123456789");
    assert_eq!("a".parse::<SerialNumber>().unwrap().0, *b"a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    for text in ["", "a b", "0123456789 123456789"] {
        assert_eq!(text.parse::<SerialNumber>().unwrap().to_string(), text);
    }
    assert_eq!("0123456789 1234567890".parse::<SerialNumber>(), Err(SerialNumberError::TooLong));
    assert_eq!("\u{e9}".parse::<SerialNumber>(), Err(SerialNumberError::NotAscii));
    assert_eq!("a\n".parse::<SerialNumber>(), Err(SerialNumberError::NotAscii));
}

#[test]
fn reads_and_writes_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 20).unwrap();
    let disk = Arc::new(RawDisk::open(file.path(), &DiskOptions::default()).unwrap());
    let mut machine = Machine::new(disk);
    machine.activate(machine.block.features());

    let pattern: Vec<u8> = (0..=255).cycle().take(0x3000).collect();
    machine.driver.write(DATA, &pattern);
    let out = [(DATA, 0x1000, 0), (DATA + 0x1000, 0x2000, 0)];
    assert_eq!(machine.request(VIRTIO_BLK_T_OUT, 16, &out), (VIRTIO_BLK_S_OK, 1));
    machine.driver.set_used_event(1);
    assert_eq!(machine.request(VIRTIO_BLK_T_FLUSH, 0, &[]), (VIRTIO_BLK_S_OK, 1));
    machine.driver.set_used_event(2);
    let back = [(DATA + 0x8000, 0x2000, WRITE), (DATA + 0xa000, 0x1000, WRITE)];
    assert_eq!(machine.request(VIRTIO_BLK_T_IN, 16, &back), (VIRTIO_BLK_S_OK, 0x3001));
    assert_eq!(machine.driver.read(DATA + 0x8000, 0x3000), pattern);
    let image = std::fs::read(file.path()).unwrap();
    assert_eq!(image[0x2000..0x5000], pattern);
    assert!(image[..0x2000].iter().chain(&image[0x5000..]).all(|&byte| byte == 0));
}

#[test]
fn discards_and_writes_zeroes_in_a_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[0x77; 1 << 20]).unwrap();
    let mut machine = Machine::new(Arc::new(RawDisk::open(file.path(), &DiskOptions::default()).unwrap()));
    machine.activate(machine.block.features() & !RING_FEATURES);
    let mut request = |kind, (sector, num_sectors, flags): (u64, u32, u32)| {
        let segment = [&sector.to_le_bytes()[..], &num_sectors.to_le_bytes(), &flags.to_le_bytes()].concat();
        machine.driver.write(DATA, &segment);
        machine.request(kind, 0, &[(DATA, 16, 0)])
    };
    assert_eq!(request(VIRTIO_BLK_T_WRITE_ZEROES, (1, 3, 0)), (VIRTIO_BLK_S_OK, 1));
    assert_eq!(request(VIRTIO_BLK_T_WRITE_ZEROES, (16, 1000, 1)), (VIRTIO_BLK_S_OK, 1));
    assert_eq!(request(VIRTIO_BLK_T_DISCARD, (1024, 512, 0)), (VIRTIO_BLK_S_OK, 1));
    assert_eq!(request(VIRTIO_BLK_T_DISCARD, (2047, 2, 0)), (VIRTIO_BLK_S_IOERR, 1));
    assert_eq!(request(VIRTIO_BLK_T_DISCARD, (2000, 8, 1)), (VIRTIO_BLK_S_UNSUPP, 1));
    assert_eq!(request(VIRTIO_BLK_T_FLUSH, (0, 0, 0)), (VIRTIO_BLK_S_OK, 1));
    let image = std::fs::read(file.path()).unwrap();
    assert_eq!(image.len(), 1 << 20);
    for (sector, bytes) in image.chunks(512).enumerate() {
        match sector {
            1..4 | 16..1016 => assert_eq!(bytes, [0; 512], "sector {sector}"),
            // Discarded data may still be there.
            1024..1536 => assert!(bytes == [0; 512] || bytes == [0x77; 512], "sector {sector}"),
            _ => assert_eq!(bytes, [0x77; 512], "sector {sector}"),
        }
    }
}

#[test]
fn goes_on_after_an_error_of_the_disk() {
    let disk = Arc::new(TestDisk::new(64));
    let mut machine = Machine::new(Arc::clone(&disk) as Arc<dyn Disk>);
    machine.activate(bit(VIRTIO_BLK_F_FLUSH));
    for errno in [libc::EIO, libc::ENOSPC] {
        disk.errno.store(errno, Relaxed);
        for kind in [VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH] {
            assert_eq!(machine.request(kind, 1, &[(DATA, 512, 0)]), (VIRTIO_BLK_S_IOERR, 1));
        }
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]), (VIRTIO_BLK_S_IOERR, 0));
        disk.errno.store(0, Relaxed);
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]), (VIRTIO_BLK_S_OK, 513));
    }
}

#[test]
fn a_broken_ring_needs_a_reset_and_a_reset_mends_it() {
    for disk in disks() {
        let mut machine = Machine::new(disk);
        for _ in 0..3 {
            machine.activate(machine.block.features());
            assert_eq!(machine.request(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]), (VIRTIO_BLK_S_OK, 513));

            machine.driver.describe_own(7, (DATA, 512, NEXT, 7));
            machine.driver.offer(7);
            machine.kick.write(1).unwrap();
            assert_eq!(machine.event(), Some(Event::NeedsReset));
            // Nothing more happens, whatever the driver does.
            for _ in 0..100 {
                machine.start(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]);
            }
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(machine.driver.used(), None);
            machine.reboot();
            assert!(machine.events.try_recv().is_err());
        }
    }
}

#[test]
fn starts_and_stops() {
    for disk in disks() {
        let mut machine = Machine::new(disk);
        machine.block.reset();
        for round in 0..100 {
            machine.activate(machine.block.features());
            if round % 2 == 0 {
                assert_eq!(
                    machine.request(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]),
                    (VIRTIO_BLK_S_OK, 513)
                );
            } else {
                // Stopped at an arbitrary point.
                for _ in 0..50 {
                    machine.start(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]);
                }
            }
            machine.block.reset();
            while machine.driver.used().is_some() {}
            machine.driver.write(DATA, &[0x55; 512]);
            machine.kick.write(1).unwrap();
            assert_eq!(machine.driver.read(DATA, 512), [0x55; 512]);
            machine.reboot();
            while machine.events.try_recv().is_ok() {}
        }
        machine.block.reset();
    }
}

/// Chains that are available before the device is activated are served without a kick.
#[test]
fn serves_what_was_there_before() {
    for disk in disks() {
        let mut machine = Machine::new(disk);
        machine.start(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]);
        machine.kick.read().unwrap();
        machine.activate(machine.block.features());
        assert_eq!(machine.event(), Some(Event::Used(0)));
    }
}

/// A driver need not clear the field of the used ring that tells it when to kick.
#[test]
fn wants_kicks_from_the_start() {
    for disk in disks() {
        let mut machine = Machine::new(disk);
        let event = machine.driver.avail_event();
        machine.driver.memory.write_obj(0x7000_u16, event).unwrap();
        machine.activate(machine.block.features());
        let start = Instant::now();
        while machine.driver.memory.read_obj::<u16>(event).unwrap() != 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "it never says so");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// With the event index, a driver that asks for one interrupt per batch gets one.
#[test]
fn interrupts_only_when_asked() {
    for disk in disks() {
        let mut machine = Machine::new(disk);
        machine.driver.set_used_event(39);
        for _ in 0..40 {
            machine.start(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]);
        }
        machine.activate(machine.block.features());
        assert_eq!(machine.event(), Some(Event::Used(0)));
        assert_eq!(std::iter::from_fn(|| machine.driver.used()).count(), 40);
        machine.block.reset();
        assert!(machine.events.try_recv().is_err());
    }
}

/// A driver that constantly makes buffers available can't prevent a reset.
#[test]
fn stops_under_load() {
    for disk in disks() {
        let mut machine = Machine::new(disk);
        machine.start(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]);
        machine.activate(bit(VIRTIO_BLK_F_FLUSH));
        let Machine { block, driver, kick, events, .. } = &mut machine;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    while driver.used().is_some() {
                        driver.chain(&[(HEADER, 16, 0), (DATA, 512, WRITE), (STATUS, 1, WRITE)]);
                        kick.write(1).unwrap();
                    }
                }
            });
            let served = events.iter().take_while(|&event| event == Event::Used(0)).take(1000).count();
            block.reset();
            stop.store(true, Relaxed);
            assert_eq!(served, 1000);
        });
    }
}

/// Each queue that the driver enabled is served independently, the others not at all.
#[test]
fn serves_every_queue_that_is_enabled() {
    let options = BlockOptions { queues: 4, ..BlockOptions::default() };
    let mut machine = Machine::new(Arc::new(TestDisk::new(64)));
    machine.block = Block::new(Arc::new(TestDisk::new(64)), &options.into());
    let mut drivers = [0, 1, 3].map(|index| (index, machine.driver.of_queue(index)));
    let kicks = drivers.each_ref().map(|_| EventFd::new(EFD_NONBLOCK).unwrap());
    let queues = drivers.iter().zip(&kicks).map(|(&(index, ref driver), kick)| ActiveQueue {
        index,
        queue: driver.queue(),
        kick: kick.try_clone().unwrap(),
    });
    let notify = Arc::clone(&machine.notify) as Arc<dyn Notify>;
    let memory = machine.driver.memory.clone();
    let features = bit(VIRTIO_BLK_F_MQ) | bit(VIRTIO_BLK_F_FLUSH);
    machine.block.activate(Activation { memory, features, queues: queues.collect(), notify }).unwrap();
    for round in 0..50 {
        for ((index, driver), kick) in drivers.iter_mut().zip(&kicks) {
            let sector = u64::from(*index + round % 8);
            let own = 0x1_0000 * u64::from(*index);
            let header = [&[0; 8][..], &sector.to_le_bytes()].concat();
            driver.write(HEADER + own, &header);
            driver.write(STATUS + own, &[0xaa]);
            driver.chain(&[(HEADER + own, 16, 0), (DATA + own, 512, WRITE), (STATUS + own, 1, WRITE)]);
            kick.write(1).unwrap();
        }
        let mut served: Vec<_> = drivers.iter().map(|_| machine.event().unwrap()).collect();
        served.sort();
        assert_eq!(served, [0, 1, 3].map(Event::Used));
        for (index, driver) in &mut drivers {
            let own = 0x1_0000 * u64::from(*index);
            assert_eq!(driver.used().unwrap().1, 513);
            assert_eq!(driver.read(STATUS + own, 1), [0]);
            let sector = *index + round % 8;
            assert_eq!(driver.read(DATA + own, 512), sector.to_le_bytes().repeat(256));
        }
    }
    machine.block.reset();
    assert!(machine.events.try_recv().is_err());
}

/// The driver gets the same results from every engine, in any order.
#[test]
fn the_engines_are_alike() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (engine, direct) in [Engine::Threads, Engine::IoUring].into_iter().zip([false, true]) {
        // Not a multiple of a sector: the kernel alone can't process the last one.
        file.as_file().set_len((64 << 10) - 100).unwrap();
        let disk = RawDisk::open(file.path(), &DiskOptions { read_only: false, direct }).unwrap();
        let mut machine = Machine::new(Arc::new(TestDisk::new(1)));
        machine.block =
            Block::new(Arc::new(disk), &BlockOptions { engine, ..BlockOptions::default() }.into());
        machine.activate(bit(VIRTIO_BLK_F_FLUSH));

        let pattern: Vec<u8> = (0..=250).cycle().take(0x3000).collect();
        machine.driver.write(DATA, &pattern);
        let pieces = [(DATA, 0x1000, 0), (DATA + 0x1000, 0x1200, 0), (DATA + 0x2200, 0xe00, 0)];
        assert_eq!(machine.request(VIRTIO_BLK_T_OUT, 104, &pieces), (VIRTIO_BLK_S_OK, 1));
        assert_eq!(machine.request(VIRTIO_BLK_T_FLUSH, 0, &[]), (VIRTIO_BLK_S_OK, 1));
        let back = [(DATA + 0x8000, 0x3000, WRITE)];
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, 104, &back), (VIRTIO_BLK_S_OK, 0x3001));
        assert_eq!(machine.driver.read(DATA + 0x8000, 0x3000), pattern);

        machine.driver.write(DATA, &[0x77; 512]);
        assert_eq!(machine.request(VIRTIO_BLK_T_OUT, 127, &[(DATA, 512, 0)]), (VIRTIO_BLK_S_OK, 1));
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, 127, &[(DATA, 512, WRITE)]), (VIRTIO_BLK_S_OK, 513));
        assert_eq!(machine.driver.read(DATA, 512), [0x77; 512]);

        let past_the_end = machine.request(VIRTIO_BLK_T_IN, 128, &[(DATA, 512, WRITE)]);
        assert_eq!(past_the_end, (VIRTIO_BLK_S_IOERR, 0));
        // The file is truncated: this gives an error, not a stall.
        file.as_file().set_len(0).unwrap();
        assert_eq!(machine.request(VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]), (VIRTIO_BLK_S_IOERR, 0));
    }
}

/// Requests that the limits hold back are served in time, and don't prevent a reset.
#[test]
fn limits_are_held() {
    for disk in disks() {
        let mut machine = Machine::new(Arc::clone(&disk));
        let iops = NonZeroU64::new(100);
        machine.block = Block::new(disk, &BlockOptions { iops, ..BlockOptions::default() }.into());
        machine.activate(bit(VIRTIO_BLK_F_FLUSH));
        let start = Instant::now();
        for _ in 0..20 {
            machine.start(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]);
        }
        let mut served = 0;
        while served < 20 {
            assert_eq!(machine.event(), Some(Event::Used(0)));
            served += std::iter::from_fn(|| machine.driver.used()).count();
        }
        // Ten are let through at once, and the others at 10 ms each.
        assert!(start.elapsed() >= Duration::from_millis(90), "{:?}", start.elapsed());
        for _ in 0..200 {
            machine.start(VIRTIO_BLK_T_IN, 1, &[(DATA, 512, WRITE)]);
        }
        machine.block.reset();
    }
}
