use std::sync::Arc;

use super::{
    registers::port,
    test_driver::{DATA, Driver, MEMORY, Order, RECEIVE, RUNNING, START},
    *,
};
use crate::{
    block::{BlockOptions, Engine, Lasting, SLICE, slow_disk::SlowDisk, test_disk::TestDisk},
    disk::Disk,
    pci::Lifecycle,
};

const SECTORS: u16 = 2048;
const READY: u8 = 0x50;
const FAILED: u8 = 0x51;

const READ_DMA_EXT: u8 = 0x25;
const WRITE_DMA_EXT: u8 = 0x35;
const READ_QUEUED: u8 = 0x60;
const WRITE_QUEUED: u8 = 0x61;
const IDENTIFY: u8 = 0xec;
const LBA: u8 = 0x40;

fn disk() -> Arc<TestDisk> {
    Arc::new(TestDisk::new(SECTORS))
}

fn drive(disk: &Arc<TestDisk>) -> Drive {
    let options = BlockOptions { serial: "serial 7".parse().unwrap(), ..BlockOptions::default() };
    Drive::disk(Arc::clone(disk) as Arc<dyn Disk>, &Lasting::from(options))
}

fn order(command: u8, lba: u64, count: u16) -> Order {
    let regions = vec![(DATA, u32::from(count.max(1)) * 512)];
    Order { command, lba, count, device: LBA, regions, ..Order::default() }
}

fn queued(command: u8, slot: u8, lba: u64, count: u16) -> Order {
    let at = DATA + u64::from(slot) * 0x1000;
    Order {
        command,
        lba,
        features: count,
        count: u16::from(slot) << 3,
        device: LBA,
        regions: vec![(at, u32::from(count) * 512)],
        ..Order::default()
    }
}

#[test]
fn a_driver_finds_the_controller_and_its_drives() {
    let mut driver = Driver::unstarted(vec![drive(&disk())]);
    assert_eq!(driver.ahci.config().identity().to_string(), "ahci [8086:2922]");
    assert_eq!(driver.get(generic::CAP), 0xc134_1f05);
    assert_eq!(driver.get(generic::PI), 0x3f);
    assert_eq!(driver.get(generic::VS), 0x0001_0301);
    driver.set(generic::GHC, 1 << 31 | 2);
    assert_eq!(driver.get(generic::GHC), 1 << 31 | 2);
    assert_eq!(driver.port(0, port::SSTS), 0x133);
    assert_eq!(
        (driver.port(0, port::TFD), driver.port(0, port::SIG)),
        (0x7f, u32::MAX),
        "nothing receives it"
    );
    driver.start(0);
    assert_eq!((driver.port(0, port::TFD), driver.port(0, port::SIG)), (0x150, 0x101));
    assert_eq!(driver.received(0, 0x40, 6), [0x34, 0, 0x50, 1, 1, 0]);
    // A port without a drive.
    assert_eq!((driver.port(1, port::SSTS), driver.port(1, port::TFD)), (0, 0x7f));
    // Single bytes, and more than a double word, can also be read.
    let mut byte = [0];
    driver.ahci.bar_read(5, 0x101, &mut byte);
    assert_eq!(u32::from(byte[0]), driver.get(0x100) >> 8 & 0xff);
    let mut wide = [0; 8];
    driver.ahci.bar_read(5, 0, &mut wide);
    assert_eq!(wide[..4], driver.get(0).to_le_bytes());
}

#[test]
fn a_disk_identifies_itself() {
    let mut driver = Driver::new(vec![drive(&disk())]);
    assert_eq!(driver.run(0, &order(IDENTIFY, 0, 0)), (READY, 0));
    assert_eq!(driver.moved(0, 0), 512);
    let data = driver.read(DATA, 512);
    let word = |index: usize| u16::from_le_bytes([data[2 * index], data[2 * index + 1]]);
    let text: Vec<u8> = (10..20).flat_map(|index| word(index).to_be_bytes()).collect();
    assert_eq!(text, *b"serial 7            ");
    assert_eq!((word(60), word(61)), (SECTORS, 0));
    assert_eq!((word(100), word(101)), (SECTORS, 0));
    assert_eq!(word(75), 31);
    assert_eq!(word(106), 0x6003, "8 logical sectors in a physical one");
    assert_eq!(data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    // The status comes with the frame before the data.
    assert_eq!(driver.received(0, 0x20, 18)[15], READY);
}

#[test]
fn data_is_moved_by_every_protocol() {
    for (read, write, queue) in [
        (READ_DMA_EXT, WRITE_DMA_EXT, false),
        (0xc8, 0xca, false),
        (0x20, 0x30, false),
        (0x24, 0x34, false),
        (READ_QUEUED, WRITE_QUEUED, true),
    ] {
        let disk = disk();
        let mut driver = Driver::new(vec![drive(&disk)]);
        driver.write(DATA, &[7; 1024]);
        for command in [write, read] {
            if command == read {
                driver.write(DATA, &[0; 1024]);
            }
            if queue {
                driver.lay_out(0, 0, &queued(command, 0, 5, 2));
                driver.set_port(0, port::SACT, 1);
                driver.set_port(0, port::CI, 1);
                driver.wait(|driver| driver.port(0, port::SACT) == 0);
                assert_eq!(driver.received(0, 0x58, 8), [0xa1, 0x40, 0x50, 0, 1, 0, 0, 0]);
            } else {
                assert_eq!(driver.run(0, &order(command, 5, 2)), (READY, 0), "{command:#x}");
                assert_eq!(driver.moved(0, 0), 1024);
            }
        }
        assert_eq!(driver.read(DATA, 1024), [7; 1024], "{read:#x}");
        assert_eq!(disk.bytes.lock().unwrap()[5 * 512..7 * 512], [7; 1024]);
    }
}

#[test]
fn thirty_two_commands_are_on_their_way_at_a_time() {
    let disk = disk();
    let mut driver = Driver::new(vec![drive(&disk)]);
    for slot in 0..32 {
        driver.lay_out(0, slot, &queued(READ_QUEUED, slot, u64::from(slot) * 8, 8));
    }
    driver.set_port(0, port::SACT, u32::MAX);
    driver.set_port(0, port::CI, u32::MAX);
    driver.wait(|driver| driver.port(0, port::SACT) == 0);
    assert_eq!(driver.port(0, port::CI), 0);
    assert_eq!(driver.read(DATA, 32 * 4096), disk.bytes.lock().unwrap()[..32 * 4096]);
}

#[test]
fn sectors_beyond_the_disk_are_refused() {
    let mut driver = Driver::new(vec![drive(&disk())]);
    let last = u64::from(SECTORS) - 1;
    for (command, lba, count, error) in [
        (READ_DMA_EXT, last + 1, 1, 0x14),
        (READ_DMA_EXT, last, 2, 0x14),
        (READ_DMA_EXT, 0, 0, 0x14),
        (WRITE_DMA_EXT, 0xffff_ffff_ffff, 1, 0x14),
        // No such command.
        (0x99, 0, 1, 4),
        (0xa1, 0, 1, 4),
        (0xb0, 0, 1, 4),
    ] {
        assert_eq!(driver.run(0, &order(command, lba, count)), (FAILED, error), "{command:#x} {lba}");
    }
    assert_eq!(driver.run(0, &order(READ_DMA_EXT, last, 1)), (READY, 0));
}

#[test]
fn a_failing_disk_fails_the_command_and_identifies_a_queued_one() {
    let disk = disk();
    let mut driver = Driver::new(vec![drive(&disk)]);
    disk.errno.store(libc::EIO, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(driver.run(0, &order(READ_DMA_EXT, 3, 1)), (FAILED, 0x40));
    driver.lay_out(0, 9, &queued(READ_QUEUED, 9, 77, 1));
    driver.set_port(0, port::SACT, 1 << 9);
    driver.set_port(0, port::CI, 1 << 9);
    driver.wait(|driver| driver.port(0, port::IS) & 1 << 30 != 0);
    assert_eq!(driver.port(0, port::SACT), 1 << 9, "it is not complete");
    // The port takes no more commands before it is restarted.
    driver.lay_out(0, 1, &order(IDENTIFY, 0, 0));
    driver.set_port(0, port::CI, 2);
    driver.stop(0);
    assert_eq!((driver.port(0, port::SACT), driver.port(0, port::CI)), (0, 0));
    disk.errno.store(0, std::sync::atomic::Ordering::Relaxed);
    driver.start(0);
    assert_eq!(driver.run(0, &Order { lba: 0x10, ..order(0x2f, 0, 1) }), (READY, 0));
    let log = driver.read(DATA, 512);
    assert_eq!((log[0], log[2], log[3], log[4]), (9, FAILED, 0x40, 77));
    assert_eq!(driver.run(0, &Order { lba: 0x10, ..order(0x2f, 0, 1) }), (READY, 0));
    assert_eq!(driver.read(DATA, 1), [0x80], "it was told once");
}

#[test]
fn a_hostile_driver_hurts_itself_alone() {
    let disk = disk();
    let before = disk.bytes.lock().unwrap().clone();
    let mut driver = Driver::new(vec![drive(&disk)]);
    let fatal = |driver: &mut Driver, bit: u32| {
        driver.set_port(0, port::CI, 1);
        driver.wait(|driver| driver.port(0, port::IS) & 0x7000_0000 != 0);
        assert_eq!(driver.port(0, port::IS) & 0x7000_0000, bit);
        driver.stop(0);
        driver.start(0);
    };
    let (bus, task_file) = (1 << 29, 1 << 30);
    // Data outside of memory: after it, in MMIO, at the end of the address space, across the end.
    for (address, len) in [(MEMORY, 512), (0xfee0_0000, 512), (u64::MAX - 511, 512), (MEMORY - 256, 512)] {
        driver.lay_out(0, 0, &Order { regions: vec![(address, len)], ..order(WRITE_DMA_EXT, 0, 1) });
        fatal(&mut driver, bus);
    }
    // Too little data: none, a short region, many of the minimum length.
    for regions in [vec![], vec![(DATA, 510)], vec![(DATA, 2); 50]] {
        driver.lay_out(0, 0, &Order { regions, ..order(WRITE_DMA_EXT, 0, 1) });
        fatal(&mut driver, task_file);
    }
    // Frames of other kinds.
    for fis in [[0; 16], [0xff; 16], [0x27, 0x8f, WRITE_DMA_EXT, 0, 0, 0, 0, LBA, 0, 0, 0, 0, 1, 0, 0, 0]] {
        driver.lay_out_fis(0, 0, &fis, None, &[(DATA, 512)]);
        fatal(&mut driver, task_file);
    }
    // A table outside of memory, and one with more entries than there is memory.
    for (table, entries) in [(MEMORY, 1_u32), (!0x7f, 1), (MEMORY - 0x1000, 65535)] {
        driver.lay_out(0, 0, &order(WRITE_DMA_EXT, 0, 1));
        driver.write(0x1000, &(5 | entries << 16).to_le_bytes());
        driver.write(0x1008, &table.to_le_bytes());
        fatal(&mut driver, bus);
    }
    // The longest region is larger than the request.
    driver.lay_out(0, 0, &Order { regions: vec![(DATA, 1 << 22)], ..order(READ_DMA_EXT, 0, 1) });
    driver.set_port(0, port::CI, 1);
    driver.wait(|driver| driver.port(0, port::CI) == 0);
    assert_eq!(driver.moved(0, 0), 512);
    // A command list and frames outside of memory.
    driver.stop(0);
    driver.set_port(0, port::CLBU, 1);
    driver.set_port(0, port::CMD, START | RECEIVE);
    driver.set_port(0, port::CI, 1);
    driver.wait(|driver| driver.port(0, port::IS) & bus != 0);
    driver.stop(0);
    driver.set_port(0, port::CLBU, 0);
    driver.set_port(0, port::FBU, 1);
    driver.set_port(0, port::IS, u32::MAX);
    driver.set_port(0, port::CMD, START | RECEIVE);
    driver.set_port(0, port::CI, 1);
    driver.wait(|driver| driver.port(0, port::IS) & bus != 0);
    assert!(*disk.bytes.lock().unwrap() == before);
}

#[test]
fn commands_are_issued_to_a_port_that_runs_alone() {
    let mut driver = Driver::new(vec![drive(&disk())]);
    driver.stop(0);
    driver.lay_out(0, 0, &order(IDENTIFY, 0, 0));
    driver.set_port(0, port::SACT, 1);
    driver.set_port(0, port::CI, 1);
    assert_eq!((driver.port(0, port::SACT), driver.port(0, port::CI)), (0, 0));
    // A port without a drive can run, without effect.
    driver.set_port(1, port::CMD, START | RECEIVE);
    driver.set_port(1, port::CI, 1);
    assert_eq!(driver.port(1, port::CI), 1);
    assert_ne!(driver.port(1, port::CMD) & RUNNING, 0);
    driver.stop(1);
}

#[test]
fn resets_begin_anew() {
    let mut driver = Driver::new(vec![drive(&disk())]);
    driver.set(generic::GHC, 1 << 31 | 2);
    // The write cache is disabled, which a reset of the interface reverts.
    assert_eq!(driver.run(0, &Order { features: 0x82, ..order(0xef, 0, 0) }), (READY, 0));
    let write_cache = |driver: &mut Driver| {
        assert_eq!(driver.run(0, &order(IDENTIFY, 0, 0)), (READY, 0));
        driver.read(DATA + 170, 1)[0] & 1 << 5 != 0
    };
    assert!(!write_cache(&mut driver));
    driver.stop(0);
    driver.set_port(0, port::SCTL, 0x301);
    assert_eq!((driver.port(0, port::SSTS), driver.port(0, port::TFD)), (0, 0x7f));
    driver.set_port(0, port::SCTL, 0x300);
    assert_eq!((driver.port(0, port::SSTS), driver.port(0, port::SIG)), (0x133, 0x101));
    assert_ne!(driver.port(0, port::SERR) & 1 << 26, 0);
    assert_ne!(driver.port(0, port::IS) & 1 << 6, 0);
    driver.start(0);
    assert!(write_cache(&mut driver));
    // A reset of the HBA in the middle of a command.
    driver.set_port(0, port::CI, 1);
    driver.set(generic::GHC, 1 << 31 | 1);
    driver.wait(|driver| driver.get(generic::GHC) == 1 << 31);
    assert_eq!((driver.port(0, port::CMD), driver.port(0, port::CI), driver.port(0, port::IE)), (6, 0, 0));
    assert_eq!(driver.port(0, port::CLB), 0x1000, "the addresses stay");
    driver.start(0);
    assert!(write_cache(&mut driver));
    // A reset by the control register.
    driver.write(0x1440, &[0; 20]);
    for control in [4, 0] {
        driver.lay_out_fis(0, 0, &[0x27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, control], None, &[]);
        driver.set_port(0, port::CI, 1);
        driver.wait(|driver| driver.port(0, port::CI) == 0);
    }
    assert_eq!(driver.received(0, 0x40, 5), [0x34, 0, 0x50, 1, 1]);
}

/// Lays out and issues a command for 14 MiB, all of which are the same memory.
fn issue_long(driver: &mut Driver, command: u8) {
    const REGION: u32 = 256 << 10;
    const REGIONS: u16 = 56;
    let count = REGIONS * 512;
    let is_queued = matches!(command, READ_QUEUED | WRITE_QUEUED);
    let (features, count) = if is_queued { (count, 0) } else { (0, count) };
    let regions = vec![(DATA, REGION); REGIONS.into()];
    driver.lay_out(0, 0, &Order { command, features, count, device: LBA, regions, ..Order::default() });
    driver.set_port(0, port::SACT, is_queued.into());
    driver.set_port(0, port::CI, 1);
}

/// A way for a driver to abort a port's commands, by its register.
type End = (&'static str, fn(&mut Driver));

const ENDS: [End; 3] = [
    ("PxCMD.ST", |driver| driver.set_port(0, port::CMD, RECEIVE)),
    ("COMRESET", |driver| driver.set_port(0, port::SCTL, 0x301)),
    ("GHC.HR", |driver| driver.set(generic::GHC, 1 << 31 | 1)),
];

#[test]
fn a_reset_leaves_a_long_command_in_the_middle() {
    for (name, end) in ENDS {
        for command in [READ_DMA_EXT, WRITE_DMA_EXT, READ_QUEUED, WRITE_QUEUED] {
            let disk = Arc::new(SlowDisk::default());
            let lasting = Lasting::from(BlockOptions::default());
            let mut driver = Driver::new(vec![Drive::disk(Arc::clone(&disk) as Arc<dyn Disk>, &lasting)]);
            issue_long(&mut driver, command);
            disk.wait_for(1);
            end(&mut driver);
            assert_ne!(driver.port(0, port::CMD) & RUNNING, 0, "{name}: the disk doesn't answer");
            disk.open_gate();
            driver.wait(|driver| driver.port(0, port::CMD) & RUNNING == 0);
            assert_eq!(disk.state().calls, [(0, SLICE)], "{name}, {command:#x}");
            assert_eq!((driver.port(0, port::CI), driver.port(0, port::SACT)), (0, 0), "{name}");
        }
    }
}

#[test]
fn a_reset_cancels_what_the_kernel_waits_for() {
    for (_, end) in ENDS {
        let disk = Arc::new(SlowDisk::on_a_pipe());
        // A host without io_uring.
        disk.open_gate();
        let lasting = Lasting::from(BlockOptions::default());
        let mut driver = Driver::new(vec![Drive::disk(Arc::clone(&disk) as Arc<dyn Disk>, &lasting)]);
        issue_long(&mut driver, READ_QUEUED);
        disk.wait_for(1);
        end(&mut driver);
        driver.wait(|driver| driver.port(0, port::CMD) & RUNNING == 0);
    }
}

#[test]
fn interrupts_come_by_line_and_by_message() {
    let mut driver = Driver::new(vec![drive(&disk())]);
    driver.set_port(0, port::IE, u32::MAX);
    let _effect = driver.ahci.config_write(4, &[6, 0]);
    assert_eq!(driver.run(0, &order(READ_DMA_EXT, 0, 1)), (READY, 0));
    assert!(!driver.line.high(), "they are not enabled");
    assert_eq!(driver.get(generic::IS), 1);
    driver.set(generic::GHC, 1 << 31 | 2);
    assert!(driver.line.high());
    driver.set(generic::IS, 1);
    assert!(driver.line.high(), "its cause is still there");
    driver.set_port(0, port::IS, u32::MAX);
    driver.set(generic::IS, 1);
    assert!(!driver.line.high());
    // The capability comes first, and its control, address and data are accessible.
    let _effect = driver.ahci.config_write(0x44, &0xfee0_1000_u32.to_le_bytes());
    let _effect = driver.ahci.config_write(0x4c, &0x31_u16.to_le_bytes());
    let _effect = driver.ahci.config_write(0x42, &1_u16.to_le_bytes());
    assert_eq!((driver.msi.message().address, driver.msi.message().data), (0xfee0_1000, 0x31));
    assert_eq!(driver.run(0, &order(READ_DMA_EXT, 0, 1)), (READY, 0));
    driver.wait(|driver| driver.get(generic::IS) == 1);
    assert_eq!((driver.msi.take_signals(), driver.line.high()), (1, false));
    driver.set(generic::IS, 1);
    assert_eq!(driver.msi.take_signals(), 1, "its cause is still there");
    driver.set_port(0, port::IS, u32::MAX);
    driver.set(generic::IS, 1);
    assert_eq!((driver.msi.take_signals(), driver.get(generic::IS)), (0, 0));
}

#[test]
fn space_is_given_back() {
    let disk = disk();
    let mut driver = Driver::new(vec![drive(&disk)]);
    let entry = |lba: u64, count: u64| (lba | count << 48).to_le_bytes();
    let trim = Order { features: 1, ..order(0x06, 0, 1) };
    driver.write(DATA, &[0; 512]);
    driver.write(DATA, &[entry(8, 8), entry(100, 1)].concat());
    assert_eq!(driver.run(0, &trim), (READY, 0));
    assert_eq!(*disk.unmapped.lock().unwrap(), [8 * 512..16 * 512, 100 * 512..101 * 512]);
    driver.write(DATA + 16, &entry(u64::from(SECTORS) - 1, 2));
    assert_eq!(driver.run(0, &trim), (FAILED, 0x14));
    driver.write(DATA + 16, &entry(0xffff_ffff_ffff, 0xffff));
    assert_eq!(driver.run(0, &trim), (FAILED, 0x14));
    assert_eq!(driver.run(0, &Order { features: 0, ..trim.clone() }), (FAILED, 4));
    assert_eq!(driver.run(0, &Order { count: 9, ..trim }), (FAILED, 4));
    assert_eq!(disk.unmapped.lock().unwrap().len(), 2);
}

#[test]
fn flushes_and_writes_that_ask_for_it_reach_the_disk() {
    let disk = disk();
    let mut driver = Driver::new(vec![drive(&disk)]);
    let flushes = || disk.flushes.swap(0, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(driver.run(0, &order(WRITE_DMA_EXT, 0, 1)), (READY, 0));
    assert_eq!(flushes(), 0);
    for command in [0xe7, 0xea, 0xe0, 0x3d] {
        assert_eq!(driver.run(0, &order(command, 0, 1)), (READY, 0));
        assert_eq!(flushes(), 1, "{command:#x}");
    }
    // Without a write cache, each write is synced to the medium.
    assert_eq!(driver.run(0, &Order { features: 0x82, ..order(0xef, 0, 0) }), (READY, 0));
    assert_eq!(flushes(), 1);
    assert_eq!(driver.run(0, &order(WRITE_DMA_EXT, 0, 1)), (READY, 0));
    assert_eq!(flushes(), 1);
}

#[test]
fn a_pause_leaves_what_was_not_begun_for_afterwards() {
    let disk = disk();
    let mut driver = Driver::new(vec![drive(&disk)]);
    let port = Arc::clone(&driver.ahci.ports()[0]);
    let pause = |port: &Mutex<Port>| lock(port).pause(std::time::Duration::from_secs(60));
    assert!(pause(&port));
    driver.lay_out(0, 3, &order(READ_DMA_EXT, 9, 1));
    driver.set_port(0, port::CI, 1 << 3);
    assert_eq!(driver.port(0, port::CI), 1 << 3);
    lock(&port).resume().unwrap();
    driver.wait(|driver| driver.port(0, port::CI) == 0);
    assert_eq!(driver.read(DATA, 512), disk.bytes.lock().unwrap()[9 * 512..10 * 512]);
    assert_eq!(lock(&port).resume().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(lock(&port).stop(std::time::Duration::from_secs(60)));
}

#[test]
fn io_uring_and_threads_move_the_same() {
    use crate::disk::raw::{DiskOptions, RawDisk};
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![0x5a; 1 << 20]).unwrap();
    for engine in [Engine::Threads, Engine::Auto] {
        let disk = Arc::new(RawDisk::open(file.path(), &DiskOptions::default()).unwrap());
        let lasting = Lasting::from(BlockOptions { engine, ..BlockOptions::default() });
        let mut driver = Driver::new(vec![Drive::disk(disk, &lasting)]);
        driver.write(DATA, &[0xc3; 0x4_0000]);
        for (command, at) in [(WRITE_QUEUED, 0), (READ_QUEUED, 0x2_0000)] {
            for slot in 0..32_u8 {
                let data = DATA + at + u64::from(slot) * 0x1000;
                let regions = vec![(data, 0x800), (data + 0x800, 0x800)];
                let order = queued(command, slot, 8 * u64::from(slot), 8);
                driver.lay_out(0, slot, &Order { regions, ..order });
            }
            driver.set_port(0, port::SACT, u32::MAX);
            driver.set_port(0, port::CI, u32::MAX);
            driver.wait(|driver| driver.port(0, port::SACT) == 0);
        }
        assert_eq!(driver.read(DATA + 0x2_0000, 0x2_0000), vec![0xc3; 0x2_0000]);
        let total = lasting.counters.total();
        assert_eq!((total.read.requests, total.written.bytes), (32, 0x2_0000));
    }
}

/// Code that copies memory meanwhile must see these writes: the data, the received frame, and the count in the command's header.
#[test]
fn pages_written_by_the_drive_are_recorded() {
    let disk = disk();
    let mut driver = Driver::new(vec![drive(&disk)]);
    let is_noted = |driver: &Driver, address: u64| {
        let words: Vec<_> = driver.memory.written().take().collect();
        move |at: u64| {
            words[usize::try_from((address + at) >> 18).unwrap()] & 1 << ((address + at) >> 12 & 63) != 0
        }
    };
    driver.memory.written().switch_on(MEMORY);
    for (command, is_queued) in [(IDENTIFY, false), (READ_DMA_EXT, false), (READ_QUEUED, true)] {
        if is_queued {
            driver.lay_out(0, 0, &queued(command, 0, 3, 1));
            driver.set_port(0, port::SACT, 1);
            driver.set_port(0, port::CI, 1);
            driver.wait(|driver| driver.port(0, port::SACT) == 0);
        } else {
            assert_eq!(driver.run(0, &order(command, 0, 1)), (READY, 0));
        }
        let lists = [port::CLB, port::FB].map(|register| u64::from(driver.port(0, register)));
        let noted = is_noted(&driver, 0);
        assert!(noted(DATA) && noted(lists[1]) && (is_queued || noted(lists[0])), "{command:#x}");
        assert!(!noted(DATA + 0x1000));
    }
}
