use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;

use super::{
    super::{
        Drive, Medium, Tray,
        registers::port,
        test_driver::{DATA, Driver, MEMORY, Order, RECEIVE, START},
    },
    *,
};
use crate::{
    block::{BlockOptions, Engine, Lasting, test_disk::TestDisk},
    disk::{Disk, format::Format},
    pci::{Lifecycle, PciFunction},
    state::{
        DeviceState, SaveState,
        testing::{carry_over, damaged, load, saved},
    },
};

const SECTORS: u16 = 2048;
const LONG: Duration = Duration::from_secs(60);
const LBA: u8 = 0x40;

const READ_DMA_EXT: u8 = 0x25;
const READ_LOG_EXT: u8 = 0x2f;
const READ_QUEUED: u8 = 0x60;
const PACKET: u8 = 0xa0;
const SET_MULTIPLE_MODE: u8 = 0xc6;
const SET_FEATURES: u8 = 0xef;

fn disk(sectors: u16) -> Drive {
    Drive::disk(Arc::new(TestDisk::new(sectors)), &Lasting::from(BlockOptions::default()))
}

fn tray(with_medium: bool) -> Arc<Tray> {
    let medium = Medium { disk: Arc::new(TestDisk::new(SECTORS)) as Arc<dyn Disk>, format: Format::Raw };
    let lasting = Lasting::from(BlockOptions::default());
    Arc::new(Tray::new("cdrom".to_owned(), Some(medium).filter(|_| with_medium), lasting))
}

/// A controller with a disk and a CD-ROM drive.
fn drives(with_medium: bool) -> (Vec<Drive>, Arc<Tray>) {
    let tray = tray(with_medium);
    (vec![disk(SECTORS), Drive::cdrom(Arc::clone(&tray))], tray)
}

fn fresh() -> Driver {
    Driver::unstarted(drives(true).0)
}

fn order(command: u8, lba: u64, count: u16) -> Order {
    let regions = vec![(DATA, u32::from(count.max(1)) * 512)];
    Order { command, lba, count, device: LBA, regions, ..Order::default() }
}

fn packet(bytes: &[u8]) -> Order {
    let mut packet = [0; 16];
    packet[..bytes.len()].copy_from_slice(bytes);
    Order {
        command: PACKET,
        features: 1,
        packet: Some(packet),
        regions: vec![(DATA, 4096)],
        ..Order::default()
    }
}

fn pause(driver: &Driver) {
    assert!(driver.ahci.ports().iter().all(|port| lock(port).pause(LONG)));
}

fn resume(driver: &Driver) {
    driver.ahci.ports().iter().for_each(|port| lock(port).resume().unwrap());
}

/// Makes a new controller with `drives` take over the state of `first`, which is paused, and its memory.
fn moved(first: &Driver, drives: Vec<Drive>) -> Driver {
    let mut second = Driver::unstarted(drives);
    second.write(0, &first.read(0, usize::try_from(MEMORY).unwrap()));
    carry_over(&first.ahci, &mut second.ahci);
    second
}

/// Every register, and the level of the line.
fn seen(driver: &mut Driver) -> (Vec<u32>, Vec<u8>, bool) {
    let registers = (0..0x100 + 0x80 * 6).step_by(4).map(|offset| driver.get(offset)).collect();
    let mut config = vec![0; 256];
    driver.ahci.config_read(0, &mut config);
    (registers, config, driver.line.high())
}

#[test]
fn a_busy_controller_goes_on_where_it_was() {
    let mut first = Driver::new(drives(true).0);
    first.set(4, 1 << 31 | 2);
    first.set_port(0, port::IE, u32::MAX);
    assert_eq!(first.run(0, &order(SET_MULTIPLE_MODE, 0, 8)).0, 0x50);
    let no_look_ahead = Order { features: 0x55, regions: vec![], ..order(SET_FEATURES, 0, 0) };
    assert_eq!(first.run(0, &no_look_ahead).0, 0x50);
    let no_cache = Order { features: 0x82, regions: vec![], ..order(SET_FEATURES, 0, 0) };
    assert_eq!(first.run(0, &no_cache).0, 0x50);
    // A command that was issued as the machine paused, and has not been started.
    first.lay_out(0, 5, &order(READ_DMA_EXT, 7, 1));
    pause(&first);
    first.set_port(0, port::CI, 1 << 5);
    assert!(first.line.high());
    let mut second = moved(&first, drives(true).0);
    assert_eq!(seen(&mut second), seen(&mut first));
    assert_eq!(saved(&second.ahci), saved(&first.ahci));
    for driver in [&mut first, &mut second] {
        driver.write(DATA, &[0xee; 512]);
        resume(driver);
        driver.wait(|driver| driver.port(0, port::CI) == 0);
        assert_eq!(driver.read(DATA, 4), [7, 0, 7, 0]);
        // IDENTIFY: multiple, look-ahead and write cache.
        assert_eq!(driver.run(0, &order(0xec, 0, 1)).0, 0x50);
        let words = driver.read(DATA, 512);
        assert_eq!(words[118], 8);
        assert_eq!(words[170] & 0x60, 0);
        driver.set_port(0, port::IS, u32::MAX);
        driver.set(8, u32::MAX);
        assert!(!driver.line.high());
    }
    assert_eq!(seen(&mut second), seen(&mut first));
}

#[test]
fn a_port_that_halted_stays_so_and_its_error_can_be_asked_for() {
    let broken = Arc::new(TestDisk::new(SECTORS));
    broken.errno.store(libc::EIO, Ordering::Relaxed);
    let broken = Drive::disk(broken, &Lasting::from(BlockOptions::default()));
    let mut first = Driver::new(vec![broken, Drive::cdrom(tray(true))]);
    first.lay_out(0, 3, &Order { features: 1, count: 3 << 3, ..order(READ_QUEUED, 77, 0) });
    first.set_port(0, port::SACT, 1 << 3);
    first.set_port(0, port::CI, 1 << 3);
    first.wait(|driver| driver.port(0, port::IS) & 1 << 30 != 0);
    pause(&first);
    let mut second = moved(&first, drives(true).0);
    assert_eq!(seen(&mut second), seen(&mut first));
    for driver in [&mut first, &mut second] {
        resume(driver);
        driver.stop(0);
        driver.set_port(0, port::IS, u32::MAX);
        driver.set_port(0, port::CMD, RECEIVE | START);
        assert_eq!(driver.run(0, &order(READ_LOG_EXT, 0x10, 1)).0, 0x50);
        let log = driver.read(DATA, 5);
        assert_eq!((log[0], log[4]), (3, 77), "its tag, and where");
    }
    assert_eq!(seen(&mut second), seen(&mut first));
}

#[test]
fn messages_go_where_they_went_and_none_is_sent_twice() {
    let mut first = Driver::new(drives(true).0);
    let config = |driver: &mut Driver, offset, data: &[u8]| {
        let _ = driver.ahci.config_write(offset, data);
    };
    // MSI is the first capability.
    config(&mut first, 0x44, &0xfee0_1000_u32.to_le_bytes());
    config(&mut first, 0x4c, &0x41_u16.to_le_bytes());
    config(&mut first, 0x42, &1_u16.to_le_bytes());
    first.set(4, 1 << 31 | 2);
    first.set_port(0, port::IE, u32::MAX);
    assert_eq!(first.run(0, &order(READ_DMA_EXT, 0, 1)).0, 0x50);
    first.wait(|driver| driver.msi.take_signals() > 0);
    pause(&first);
    let mut second = moved(&first, drives(true).0);
    assert_eq!((second.msi.message().address, second.msi.message().data), (0xfee0_1000, 0x41));
    assert_eq!((second.msi.take_signals(), second.line.high()), (0, false));
    assert_eq!(seen(&mut second), seen(&mut first));
    // The cause is still there.
    second.set(8, 1);
    assert_eq!(second.msi.take_signals(), 1);
}

#[test]
fn a_tray_is_as_the_guest_left_it_and_reports_a_changed_medium() {
    let (drives_before, before) = drives(true);
    let mut first = Driver::new(drives_before);
    // The drive was reset, and then the guest locks the tray.
    assert_eq!(first.run(1, &packet(&[0])).0 & 1, 1);
    assert_eq!(first.run(1, &packet(&[0x1e, 0, 0, 0, 1])).0 & 1, 0);
    assert!(before.is_locked());
    pause(&first);
    let state = saved(&first.ahci);
    for has_medium in [true, false] {
        let (drives, tray) = drives(has_medium);
        let mut second = moved(&first, drives);
        assert_eq!((tray.is_locked(), tray.is_open()), (has_medium, false));
        resume(&second);
        assert_eq!(second.run(1, &packet(&[0])).0 & 1, u8::from(!has_medium));
        assert_eq!(second.run(1, &packet(&[0x4a, 1, 0, 0, 1 << 4, 0, 0, 0, 8])).0 & 1, 0);
        // The event, and whether there is a medium.
        assert_eq!(second.read(DATA + 4, 2), if has_medium { [0, 2] } else { [3, 0] });
    }
    // And a medium that was inserted.
    let mut without = state.clone();
    without["ports"][1]["drive"]["cdrom"]["tray"]["has_medium"] = false.into();
    let mut second = fresh();
    load(&mut second.ahci, &without).unwrap();
    let tray = &saved(&second.ahci)["ports"][1]["drive"]["cdrom"]["tray"];
    assert_eq!((&tray["event"], &tray["attention"]["code"]), (&"new_medium".into(), &0x28.into()));
}

#[test]
fn a_disk_that_has_grown_is_as_large_as_before_and_none_may_shrink() {
    let mut first = Driver::new(vec![disk(1000)]);
    pause(&first);
    let mut second = moved(&first, vec![disk(2000)]);
    resume(&second);
    resume(&first);
    for driver in [&mut first, &mut second] {
        assert_eq!(driver.run(0, &order(READ_DMA_EXT, 999, 1)).0, 0x50);
        assert_eq!(driver.run(0, &order(READ_DMA_EXT, 1000, 1)).0, 0x51);
    }
    pause(&first);
    let error = load(&mut Driver::unstarted(vec![disk(999)]).ahci, &saved(&first.ahci)).unwrap_err();
    assert_eq!(error, "it makes no sense: the disk is smaller now than its driver knows it");
}

#[test]
fn a_controller_that_runs_has_no_state() {
    let first = Driver::new(drives(true).0);
    assert!(matches!(first.ahci.save_state(), Err(StateError::Running)));
}

#[test]
fn other_drives_are_refused() {
    let first = fresh();
    let state = saved(&first.ahci);
    let cdrom = || Drive::cdrom(tray(true));
    let refused = |drives| load(&mut Driver::unstarted(drives).ahci, &state).unwrap_err();
    let none = "it makes no sense: a drive where there is none, or none where there is one";
    assert_eq!(refused(vec![disk(SECTORS)]), none);
    assert_eq!(refused(vec![disk(SECTORS), cdrom(), cdrom()]), none);
    assert_eq!(refused(vec![cdrom(), disk(SECTORS)]), "this is the state of a disk, not of a cd-rom drive");
    assert_eq!(
        refused(vec![disk(SECTORS), disk(SECTORS)]),
        "this is the state of a cd-rom drive, not of a disk"
    );
}

#[test]
fn damaged_states_do_no_harm() {
    // Creating rings takes long.
    let lasting = Lasting::from(BlockOptions { engine: Engine::Threads, ..BlockOptions::default() });
    let disk = || Drive::disk(Arc::new(TestDisk::new(SECTORS)), &lasting);
    let fresh = || Driver::unstarted(vec![disk(), Drive::cdrom(tray(true))]);
    let mut first = fresh();
    first.start(0);
    first.start(1);
    first.set(4, 1 << 31 | 2);
    first.run(0, &order(READ_DMA_EXT, 0, 1));
    first.run(1, &packet(&[0x12, 0, 0, 0, 36]));
    pause(&first);
    // A single port is enough.
    let DeviceState { version, state } = first.ahci.save_state().unwrap();
    let mut only = state.clone();
    only["ports"].as_array_mut().unwrap().truncate(2);
    let state = DeviceState { version, state };
    let mut tried = 0;
    // The registers of the second port equal those of the first.
    let registers = |state: &Value| state["ports"][1]["registers"].clone();
    let all = damaged(&only).into_iter();
    for changed in all.filter(|changed| registers(changed) == registers(&only)) {
        let mut whole = state.clone();
        let (Some(changed), Some(fields)) = (changed.as_object(), whole.state.as_object_mut()) else {
            continue;
        };
        for (key, value) in changed {
            if let ("ports", Some(ports)) = (key.as_str(), value.as_array()) {
                let rest = fields["ports"].as_array().unwrap().iter().skip(2);
                fields[key] = ports.iter().chain(rest).cloned().collect();
            } else {
                fields.insert(key.clone(), value.clone());
            }
        }
        let mut second = fresh();
        if second.ahci.load_state(&whole).is_ok() {
            tried += 1;
            // Issued commands are served or fail; none hangs.
            resume(&second);
            pause(&second);
            second.set(4, 1 << 31 | 1);
            second.wait(|driver| driver.get(4) & 1 == 0);
        }
    }
    assert!(tried > 0);
}
