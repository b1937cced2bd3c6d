use super::*;
use crate::{
    ahci::{
        registers::port,
        test_driver::{DATA, Driver, Order, RUNNING},
    },
    block::{BlockOptions, SLICE, slow_disk::SlowDisk, test_disk::TestDisk},
    disk::{Disk, format::Format},
};

/// The status and error registers: success, and failures with these sense keys.
const DONE: (u8, u8) = (0x50, 0);
const NOT_READY: (u8, u8) = (0x51, 0x20);
const ILLEGAL: (u8, u8) = (0x51, 0x50);
const ATTENTION: (u8, u8) = (0x51, 0x60);

const TEST_UNIT_READY: &[u8] = &[0];

/// A medium of 100 blocks and a half.
fn medium() -> Medium {
    Medium { disk: Arc::new(TestDisk { read_only: true, ..TestDisk::new(402) }), format: Format::Raw }
}

fn drive(medium: Option<Medium>) -> (Driver, Arc<Tray>) {
    let tray = Arc::new(Tray::new("cdrom".to_owned(), medium, BlockOptions::default().into()));
    let driver = Driver::new(vec![super::super::Drive::cdrom(Arc::clone(&tray))]);
    (driver, tray)
}

/// Sends a packet with room for `room` bytes. Returns the status and error registers.
fn send(driver: &mut Driver, packet: &[u8], room: u32) -> (u8, u8) {
    let mut bytes = [0; 16];
    bytes[..packet.len()].copy_from_slice(packet);
    let regions = if room == 0 { vec![] } else { vec![(DATA, room)] };
    driver.run(0, &Order { command: 0xa0, features: 1, packet: Some(bytes), regions, ..Order::default() })
}

/// The sense key, code and qualifier.
fn sense(driver: &mut Driver) -> (u8, u8, u8) {
    assert_eq!(send(driver, &[3, 0, 0, 0, 18], 18), DONE);
    let data = driver.read(DATA, 18);
    (data[2], data[12], data[13])
}

fn used(driver: &mut Driver) {
    assert_eq!(send(driver, TEST_UNIT_READY, 0), ATTENTION);
    assert_eq!(sense(driver), (6, 0x29, 0), "it was reset");
}

#[test]
fn a_drive_identifies_itself_and_its_medium() {
    let (mut driver, _tray) = drive(Some(medium()));
    assert_eq!(driver.port(0, port::SIG), 0xeb14_0101);
    assert_eq!(driver.run(0, &Order { command: 0xec, ..Order::default() }), (0x51, 4));
    let identify = Order { command: 0xa1, regions: vec![(DATA, 512)], ..Order::default() };
    assert_eq!(driver.run(0, &identify), DONE);
    assert_eq!(driver.read(DATA, 2), 0x85c0_u16.to_le_bytes());
    // INQUIRY doesn't report the pending unit attention.
    assert_eq!(send(&mut driver, &[0x12, 0, 0, 0, 36], 36), DONE);
    assert_eq!(driver.read(DATA, 16), *b"\x05\x80\x05\x32\x1f\0\0\0NVMM    ");
    used(&mut driver);
    assert_eq!(send(&mut driver, TEST_UNIT_READY, 0), DONE);
    assert_eq!(send(&mut driver, &[0x25], 8), DONE);
    assert_eq!(driver.read(DATA, 8), [0, 0, 0, 99, 0, 0, 8, 0]);
    assert_eq!(send(&mut driver, &[0x43, 0, 0, 0, 0, 0, 0, 0, 20], 20), DONE);
    assert_eq!(
        driver.read(DATA, 20),
        [0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0, 100]
    );
    assert_eq!(send(&mut driver, &[0x43, 2, 0, 0, 0, 0, 0xaa, 0, 12], 12), DONE);
    assert_eq!(driver.read(DATA + 8, 4), [0, 0, 3, 25], "minutes, seconds and frames");
    assert_eq!(send(&mut driver, &[0x46, 0, 0, 0, 0, 0, 0, 0, 8], 8), DONE);
    assert_eq!(driver.read(DATA + 6, 2), [0, 8], "a CD-ROM");
    assert_eq!(driver.moved(0, 0), 8);
    // Commands that the drive doesn't support.
    for packet in
        [&[0x2a, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0xff], &[0x43, 0, 5], &[0x5a, 0, 0x3e], &[0x12, 1, 7]]
    {
        assert_eq!(send(&mut driver, packet, 64), ILLEGAL, "{packet:x?}");
        assert_eq!(sense(&mut driver).0, 5);
    }
    assert_eq!(sense(&mut driver), (0, 0, 0), "it is told once");
}

#[test]
fn blocks_are_read_and_no_others() {
    let (mut driver, tray) = drive(Some(medium()));
    used(&mut driver);
    let expected: Vec<u8> = (396..400_u16).flat_map(|sector| sector.to_le_bytes().repeat(256)).collect();
    for packet in [&[0x28, 0, 0, 0, 0, 99, 0, 0, 1][..], &[0xa8, 0, 0, 0, 0, 99, 0, 0, 0, 1]] {
        driver.write(DATA, &[0; 2048]);
        assert_eq!(send(&mut driver, packet, 2048), DONE);
        assert_eq!((driver.read(DATA, 2048), driver.moved(0, 0)), (expected.clone(), 2048));
    }
    assert_eq!(tray.counters().total().read.requests, 2);
    for packet in [
        &[0x28, 0, 0, 0, 0, 100, 0, 0, 1][..],
        &[0x28, 0, 0, 0, 0, 99, 0, 0, 2],
        &[0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xa8, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert_eq!(send(&mut driver, packet, 2048), ILLEGAL, "{packet:x?}");
        assert_eq!(sense(&mut driver), (5, 0x21, 0));
    }
    assert_eq!(send(&mut driver, &[0x28, 0, 0, 0, 0, 99, 0, 0, 0], 0), DONE, "of no blocks");
    // A buffer that is too small.
    assert_eq!(send(&mut driver, &[0x28, 0, 0, 0, 0, 99, 0, 0, 1], 2046).0, 0x51);
}

#[test]
fn media_come_and_go() {
    let (mut driver, tray) = drive(None);
    used(&mut driver);
    assert_eq!(send(&mut driver, TEST_UNIT_READY, 0), NOT_READY);
    assert_eq!(sense(&mut driver), (2, 0x3a, 0));
    let event = |driver: &mut Driver| {
        assert_eq!(send(driver, &[0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8], 8), DONE);
        driver.read(DATA + 4, 2)
    };
    assert_eq!(event(&mut driver), [0, 0]);
    tray.eject(false).unwrap();
    assert_eq!(event(&mut driver), [3, 1], "removed, and the tray is open");
    tray.insert(medium()).unwrap();
    assert_eq!(tray.insert(medium()), Err(TrayError::Full));
    assert_eq!(event(&mut driver), [2, 2], "a new one");
    assert_eq!(send(&mut driver, TEST_UNIT_READY, 0), ATTENTION);
    assert_eq!(sense(&mut driver), (6, 0x28, 0));
    assert_eq!(send(&mut driver, TEST_UNIT_READY, 0), DONE);

    // The guest locks the tray.
    assert_eq!(send(&mut driver, &[0x1e, 0, 0, 0, 1], 0), DONE);
    assert!(tray.is_locked());
    assert_eq!(tray.eject(false).unwrap_err(), TrayError::Locked);
    assert_eq!(event(&mut driver), [1, 2], "it is asked for it");
    assert_eq!(send(&mut driver, &[0x1b, 0, 0, 0, 2], 0), ILLEGAL);
    assert_eq!(sense(&mut driver), (5, 0x53, 2));
    assert_eq!(send(&mut driver, &[0x1e, 0, 0, 0, 0], 0), DONE);
    // After the guest ejects the medium, it is still in the open tray.
    assert_eq!(send(&mut driver, &[0x1b, 0, 0, 0, 2], 0), DONE);
    assert!(tray.is_open() && tray.medium().is_some());
    assert_eq!(send(&mut driver, TEST_UNIT_READY, 0), NOT_READY);
    assert_eq!(sense(&mut driver), (2, 0x3a, 2));
    assert_eq!(send(&mut driver, &[0x1b, 0, 0, 0, 3], 0), DONE);
    assert!(!tray.is_open());
    // Removed by force.
    assert_eq!(send(&mut driver, TEST_UNIT_READY, 0), ATTENTION);
    assert_eq!(send(&mut driver, &[0x1e, 0, 0, 0, 1], 0), DONE);
    assert!(tray.eject(true).unwrap().is_some());
    assert!(!tray.is_locked());
    assert_eq!(send(&mut driver, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1], 2048), NOT_READY);
}

/// READ(12) may ask for 8 TiB, much of which the driver's tables can describe.
#[test]
fn a_long_read_is_left_in_the_middle() {
    let disk = Arc::new(SlowDisk::default());
    let medium = Medium { disk: Arc::clone(&disk) as Arc<dyn Disk>, format: Format::Raw };
    let (mut driver, _tray) = drive(Some(medium));
    used(&mut driver);
    let mut packet = [0; 16];
    // 14 MiB.
    (packet[0], packet[8]) = (0xa8, 0x1c);
    let regions = vec![(DATA, 256 << 10); 56];
    let order = Order { command: 0xa0, features: 1, packet: Some(packet), regions, ..Order::default() };
    driver.lay_out(0, 0, &order);
    driver.set_port(0, port::CI, 1);
    disk.wait_for(1);
    driver.set_port(0, port::SCTL, 0x301);
    assert_ne!(driver.port(0, port::CMD) & RUNNING, 0, "the medium doesn't answer");
    disk.open_gate();
    driver.wait(|driver| driver.port(0, port::CMD) & RUNNING == 0);
    assert_eq!(disk.state().calls, [(0, SLICE)]);
}
