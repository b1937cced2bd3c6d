//! A disk behind the transport, driven as a guest does it, with the worker's thread at work.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use virtio_queue::QueueT;

use super::test_guest::*;
use crate::{
    block::{BlockOptions, test_disk::TestDisk},
    state::testing,
    virtio::{
        block::Block,
        queue::test_driver::{Driver, FREE, WRITE},
    },
};

const QUEUE_SIZE: u16 = 256;
const BLK_FLUSH: u64 = 1 << 9;
const INDIRECT_DESC: u64 = 1 << 28;
const EVENT_IDX: u64 = 1 << 29;

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;

const HEADER: u64 = FREE;
const STATUS: u64 = FREE + 0x1000;
const DATA: u64 = FREE + 0x2000;

/// Registers of the legacy interface.
const LEGACY_FEATURES: u64 = 4;
const LEGACY_QUEUE: u64 = 8;
const LEGACY_NOTIFY: u64 = 16;
const LEGACY_STATUS: u64 = 18;
const LEGACY_ISR: u64 = 19;
const LEGACY_CONFIG: u64 = 20;

/// The ways in which the guest learns of used buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupt {
    Intx,
    Msix,
}

struct Machine {
    guest: Guest,
    driver: Driver,
    disk: Arc<TestDisk>,
    interrupt: Interrupt,
    requests: u16,
}

impl Machine {
    fn new(interrupt: Interrupt, features: u64) -> Self {
        let driver = Driver::new(QUEUE_SIZE);
        let disk = Arc::new(TestDisk::new(2048));
        let block = Block::new(disk.clone(), &BlockOptions::default().into());
        let guest = Guest::with_device(Box::new(block), driver.memory.clone());
        let mut machine = Self { guest, driver, disk, interrupt, requests: 0 };
        machine.start(features);
        machine
    }

    fn start(&mut self, features: u64) {
        self.driver.restart();
        self.requests = 0;
        self.guest.negotiate(features | VERSION_1);
        if self.interrupt == Interrupt::Msix {
            self.guest.enable_msix();
        }
        let queue = self.driver.queue();
        let areas = [queue.desc_table(), queue.avail_ring(), queue.used_ring()];
        self.guest.set_up_queue(0, QUEUE_SIZE, areas);
        self.guest.add_status(DRIVER_OK);
        assert_eq!(self.guest.status(), ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }

    /// Offers a request without waiting for it.
    fn offer(&mut self, kind: u32, sector: u64, data: &[(u64, u32, u16)]) {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        self.driver.write(HEADER, &header);
        self.driver.write(STATUS, &[0xaa]);
        // With the event index: request an interrupt for this one.
        self.driver.set_used_event(self.requests);
        self.requests = self.requests.wrapping_add(1);
        self.driver.chain(&[&[(HEADER, 16, 0)], data, &[(STATUS, 1, WRITE)]].concat());
        self.guest.write(NOTIFY, 0, 2);
    }

    /// Waits for the queue's interrupt, and acknowledges it.
    fn interrupted(&mut self) {
        self.wait_for("an interrupt of the queue", |machine| match machine.interrupt {
            Interrupt::Intx => machine.guest.line.high() && machine.guest.read(ISR, 1) & 1 == 1,
            Interrupt::Msix => machine.guest.vectors[1].take_signals() > 0,
        });
        assert!(!self.guest.line.high());
    }

    fn wait_for(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition(self) {
            assert!(Instant::now() < deadline, "no {what}");
            thread::sleep(Duration::from_micros(50));
        }
    }

    /// Performs one request, and returns its status.
    fn request(&mut self, kind: u32, sector: u64, data: &[(u64, u32, u16)]) -> u8 {
        self.offer(kind, sector, data);
        self.interrupted();
        self.driver.used().unwrap();
        self.driver.read(STATUS, 1)[0]
    }
}

#[test]
fn a_disk_is_read_written_and_flushed() {
    for interrupt in [Interrupt::Intx, Interrupt::Msix] {
        for features in [0, BLK_FLUSH | INDIRECT_DESC, BLK_FLUSH | EVENT_IDX] {
            let mut machine = Machine::new(interrupt, features);
            assert_eq!(machine.guest.read(DEVICE, 8), 2048, "capacity");
            for round in 0_u8..100 {
                let sector = u64::from(round);
                machine.driver.write(DATA, &[round; 1024]);
                assert_eq!(machine.request(OUT, sector, &[(DATA, 1024, 0)]), 0);
                machine.driver.write(DATA, &[0; 1024]);
                assert_eq!(machine.request(IN, sector, &[(DATA, 512, WRITE), (DATA + 512, 512, WRITE)]), 0);
                assert_eq!(machine.driver.read(DATA, 1024), [round; 1024]);
                assert_eq!(machine.request(FLUSH, 0, &[]), 0);
            }
            assert!(machine.disk.flushes.load(Relaxed) >= 100);
            assert_eq!(machine.guest.status() & NEEDS_RESET, 0);
        }
    }
}

#[test]
fn after_a_reset_nothing_touches_memory() {
    let mut machine = Machine::new(Interrupt::Msix, BLK_FLUSH);
    for round in 0..50_u8 {
        // Each of these reads the whole disk.
        machine.driver.write(DATA, &vec![0xee; 2048 * 512]);
        for _ in 0..20 {
            machine.offer(IN, 0, &[(DATA, 2048 * 512, WRITE)]);
        }
        if round % 2 == 0 {
            thread::sleep(Duration::from_micros(100));
        }
        machine.guest.reset();
        machine.driver.write(DATA, &vec![round; 2048 * 512]);
        thread::sleep(Duration::from_millis(1));
        assert!(machine.driver.read(DATA, 2048 * 512).iter().all(|&byte| byte == round));
        machine.guest.take_signals();
        machine.start(BLK_FLUSH);
        assert_eq!(machine.request(IN, 7, &[(DATA, 512, WRITE)]), 0, "round {round}");
        assert_eq!(machine.driver.read(DATA, 4), [7, 0, 7, 0]);
    }
}

#[test]
fn a_ring_that_breaks_needs_a_reset_and_a_reset_mends_it() {
    for interrupt in [Interrupt::Intx, Interrupt::Msix] {
        let mut machine = Machine::new(interrupt, BLK_FLUSH);
        assert_eq!(machine.request(FLUSH, 0, &[]), 0);
        machine.driver.offer(QUEUE_SIZE);
        machine.guest.write(NOTIFY, 0, 2);
        machine.wait_for("DEVICE_NEEDS_RESET", |machine| machine.guest.status() & NEEDS_RESET != 0);
        machine.wait_for("configuration interrupt", |machine| match machine.interrupt {
            Interrupt::Intx => machine.guest.read(ISR, 1) & 2 == 2,
            Interrupt::Msix => machine.guest.vectors[0].take_signals() > 0,
        });
        machine.start(BLK_FLUSH);
        assert_eq!(machine.request(FLUSH, 0, &[]), 0);
    }
}

#[test]
fn a_disk_that_grew_is_announced() {
    for interrupt in [Interrupt::Intx, Interrupt::Msix] {
        let mut machine = Machine::new(interrupt, BLK_FLUSH);
        let generation = |machine: &mut Machine| machine.guest.read(CONFIG_GENERATION, 1);
        // Checks for a configuration interrupt, and no other.
        let told = |machine: &mut Machine| match interrupt {
            Interrupt::Intx => {
                let (high, isr) = (machine.guest.line.high(), machine.guest.read(ISR, 1));
                assert!(matches!((high, isr), (true, 2) | (false, 0)), "{high} {isr:#x}");
                high
            }
            Interrupt::Msix => {
                let signals = machine.guest.take_signals();
                assert!(matches!(signals[..], [0 | 1, 0, 0]), "{signals:?}");
                signals[0] == 1
            }
        };
        let before = generation(&mut machine);
        assert!(!machine.guest.pci.measure().unwrap());
        assert!(!told(&mut machine));
        assert_eq!(machine.request(IN, 2048, &[(DATA, 512, WRITE)]), 1, "not there yet");

        machine.disk.growth.store(1000, Relaxed);
        machine.disk.errno.store(libc::EIO, Relaxed);
        assert_eq!(machine.guest.pci.measure().unwrap_err().raw_os_error(), Some(libc::EIO));
        assert!(!told(&mut machine));
        assert_eq!(generation(&mut machine), before);
        machine.disk.errno.store(0, Relaxed);

        assert!(machine.guest.pci.measure().unwrap());
        assert_ne!(generation(&mut machine), before);
        assert!(told(&mut machine));
        assert_eq!(machine.guest.read(DEVICE, 8), 3048, "capacity");
        assert_eq!(machine.request(IN, 3047, &[(DATA, 512, WRITE)]), 0);
        assert!(!machine.guest.pci.measure().unwrap());
        assert!(!told(&mut machine));

        // A driver that has not started the device gets no notification, and reads the capacity anyway.
        machine.guest.reset();
        machine.disk.growth.store(1, Relaxed);
        assert!(machine.guest.pci.measure().unwrap());
        assert!(!told(&mut machine));
        machine.start(BLK_FLUSH);
        assert_eq!(machine.guest.read(DEVICE, 8), 3049, "capacity");
    }
}

/// A driver can't notice that the machine was paused, and that another one continued in its place.
#[test]
fn a_pause_is_not_seen() {
    const LONG: Duration = Duration::from_secs(60);
    for interrupt in [Interrupt::Intx, Interrupt::Msix] {
        for features in [BLK_FLUSH | INDIRECT_DESC, BLK_FLUSH | EVENT_IDX] {
            let mut machine = Machine::new(interrupt, features);
            for round in 0_u8..100 {
                let (sector, data) = (u64::from(round), [(DATA, 512, WRITE)]);
                if round % 2 == 0 {
                    machine.offer(IN, sector, &data);
                    assert!(machine.guest.pci.pause(LONG));
                } else {
                    assert!(machine.guest.pci.pause(LONG));
                    machine.offer(IN, sector, &data);
                }
                if round % 10 == 0 {
                    let state = testing::saved(&machine.guest.pci);
                    let block = Block::new(machine.disk.clone(), &BlockOptions::default().into());
                    machine.guest = Guest::with_device(Box::new(block), machine.driver.memory.clone());
                    testing::load(&mut machine.guest.pci, &state).unwrap();
                }
                machine.guest.pci.resume().unwrap();
                machine.wait_for("used buffer", |machine| machine.driver.used().is_some());
                assert_eq!(machine.driver.read(STATUS, 1), [0]);
                assert_eq!(machine.driver.read(DATA, 2), [round, 0]);
            }
            // No notification is pending now.
            assert!(machine.guest.pci.pause(LONG));
            machine.guest.take_signals();
            machine.guest.read(ISR, 1);
            machine.guest.pci.resume().unwrap();
            assert_eq!(machine.request(FLUSH, 0, &[]), 0);
        }
    }
}

/// A driver from before virtio 1.0.
struct LegacyMachine {
    guest: Guest,
    driver: Driver,
    requests: u16,
}

impl LegacyMachine {
    fn new(disk: Arc<TestDisk>) -> Self {
        let driver = Driver::legacy(QUEUE_SIZE);
        let options = BlockOptions { legacy: true, ..BlockOptions::default() };
        let guest = Guest::with_device(Box::new(Block::new(disk, &options.into())), driver.memory.clone());
        Self { guest, driver, requests: 0 }
    }

    fn write(&mut self, offset: u64, value: u64, len: usize) {
        let _effect = self.guest.port_write(offset, value, len);
    }

    /// Resets the device, and does everything up to setting DRIVER_OK.
    fn begin(&mut self, features: u64) {
        self.driver.restart();
        self.requests = 0;
        self.write(LEGACY_STATUS, 0, 1);
        self.write(LEGACY_STATUS, (ACKNOWLEDGE | DRIVER).into(), 1);
        self.write(LEGACY_FEATURES, features, 4);
        self.write(LEGACY_QUEUE, self.driver.queue().desc_table() / 4096, 4);
    }

    /// Performs one request, and returns its status.
    fn request(&mut self, kind: u32, sector: u64, data: &[(u64, u32, u16)]) -> u8 {
        self.driver.write(HEADER, &u64::from(kind).to_le_bytes());
        self.driver.write(HEADER + 8, &sector.to_le_bytes());
        self.driver.write(STATUS, &[0xaa]);
        self.driver.set_used_event(self.requests);
        self.requests += 1;
        self.driver.chain(&[&[(HEADER, 16, 0)], data, &[(STATUS, 1, WRITE)]].concat());
        self.write(LEGACY_NOTIFY, 0, 2);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !(self.guest.line.high() && self.guest.port_read(LEGACY_ISR, 1) & 1 == 1) {
            assert!(Instant::now() < deadline, "no interrupt");
            thread::sleep(Duration::from_micros(50));
        }
        self.driver.used().unwrap();
        self.driver.read(STATUS, 1)[0]
    }
}

#[test]
fn a_legacy_driver_reads_writes_and_flushes() {
    let disk = Arc::new(TestDisk::new(2048));
    let mut machine = LegacyMachine::new(disk.clone());
    assert_eq!(machine.guest.config_read(0, 4), 0x1001_1af4);
    assert_eq!(machine.guest.config_read(0x2c, 4), 0x0002_1af4);
    for features in [0, BLK_FLUSH | INDIRECT_DESC, BLK_FLUSH | EVENT_IDX] {
        machine.begin(features);
        assert_eq!(machine.guest.port_read(LEGACY_CONFIG, 8), 2048, "capacity");
        // Linux before 3.18 reads the partition table like this.
        assert_eq!(machine.request(IN, 7, &[(DATA, 512, WRITE)]), 0);
        assert_eq!(machine.driver.read(DATA, 2), [7, 0]);
        machine.write(LEGACY_STATUS, (ACKNOWLEDGE | DRIVER | DRIVER_OK).into(), 1);
        let flushes = disk.flushes.load(Relaxed);
        for round in 0_u8..50 {
            let sector = 100 + u64::from(round);
            machine.driver.write(DATA, &[round; 1024]);
            assert_eq!(machine.request(OUT, sector, &[(DATA, 1024, 0)]), 0);
            machine.driver.write(DATA, &[0; 1024]);
            assert_eq!(machine.request(IN, sector, &[(DATA, 512, WRITE), (DATA + 512, 512, WRITE)]), 0);
            assert_eq!(machine.driver.read(DATA, 1024), [round; 1024]);
            assert_eq!(machine.request(FLUSH, 0, &[]), 0);
        }
        assert!(disk.flushes.load(Relaxed) >= flushes + 50);
        assert_eq!(machine.guest.status() & NEEDS_RESET, 0);
    }
}
