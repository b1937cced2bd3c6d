//! A disk and a CD-ROM drive on an AHCI controller.
//!
//! Writes the disk's sectors 8 to 71 by 8 queued commands, with data that depends on the sector's number, reads them back, and prints the
//! state of the drive. On the serial port, `?` makes it check the drive again, and `q` ends it.
#![no_std]
#![no_main]

mod rt;
mod sata;

use rt::pci;
use sata::{CI, Command, Controller, IE, Port, SACT, SIG};

const DATA: u64 = 0xa0_0000;
const LINE_STATUS: u16 = 0x3fd;
const RECEIVE: u16 = 0x3f8;
const SECTORS: u64 = 8;

extern "C" fn guest_main() -> u32 {
    let controller = Controller::find();
    let (disk, drive) = (controller.port(0), controller.port(1));
    print!("ahci ", rt::read::<u32>(pci::config(controller.function, 0)), "\n");
    disk.start();
    drive.start();
    print!("signatures ", disk.get(SIG), " ", drive.get(SIG), "\n");
    use_disk(&controller, &disk);
    loop {
        look(&drive);
        loop {
            while rt::inb(LINE_STATUS) & 1 == 0 {}
            match rt::inb(RECEIVE) {
                b'q' => return 0,
                b'o' => {
                    let opened = drive.packet([0x1b, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], (0, 0));
                    print!("opened ", u8::from(opened), "\n");
                }
                b'l' => {
                    let locked = drive.packet([0x1e, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], (0, 0));
                    print!("locked ", u8::from(locked), "\n");
                }
                _ => break,
            }
        }
    }
}

fn command(code: u8, lba: u64, count: u16, address: u64) -> Command {
    let data = (address, u32::from(count) * 512);
    Command { code, features: 0, lba, count, data, packet: None }
}

fn use_disk(controller: &Controller, disk: &Port) {
    let identified = disk.run(Command { data: (DATA, 512), ..command(0xec, 0, 0, DATA) });
    print!("identified ", u8::from(identified), ": ", rt::read::<u32>(DATA + 200), " sectors\n");
    // The pin is asserted while a completion is not acknowledged.
    rt::write(controller.registers + 4, 1_u32 << 31 | 2);
    disk.set(IE, u32::MAX);
    let pending = || rt::read::<u16>(pci::config(controller.function, 6)) >> 3 & 1;
    let asserted = pending();
    disk.set(sata::IS, u32::MAX);
    rt::write(controller.registers + 8, u32::MAX);
    print!("interrupt ", asserted, " then ", pending(), "\n");
    disk.set(IE, 0);
    for slot in 0..8_u64 {
        let buffer = DATA + slot * SECTORS * 512;
        for sector in 0..SECTORS {
            let lba = 8 + slot * SECTORS + sector;
            rt::write(buffer + sector * 512, lba);
            rt::write(buffer + sector * 512 + 504, !lba);
        }
        let queued = command(0x61, 8 + slot * SECTORS, SECTORS as u16, buffer);
        disk.lay_out(slot, Command { features: SECTORS as u16, count: (slot << 3) as u16, ..queued });
    }
    disk.set(SACT, 0xff);
    disk.set(CI, 0xff);
    print!("written ", u8::from(disk.wait(0xff)), "\n");
    print!("flushed ", u8::from(disk.run(command(0xea, 0, 0, 0))), "\n");
    let read = disk.run(command(0x25, 8, 64, DATA + 0x1_0000));
    let same = (0..64 * 64).all(|at| rt::read::<u64>(DATA + 8 * at) == rt::read::<u64>(DATA + 0x1_0000 + 8 * at));
    print!("read ", u8::from(read), " same ", u8::from(same), "\n");
    print!("past the end ", u8::from(disk.run(command(0x25, 1 << 40, 1, DATA))), "\n");
}

/// Prints the state of the medium: the reason why there is none, or its number of blocks, and the start of the sixteenth.
fn look(drive: &Port) {
    for _ in 0..4 {
        if drive.packet([0; 12], (0, 0)) {
            break;
        }
        drive.packet([3, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0], (DATA, 18));
        let sense = [2, 12, 13].map(|at| rt::read::<u8>(DATA + at));
        print!("sense ", sense[0], " ", sense[1], " ", sense[2], "\n");
        if sense[0] == 2 {
            return;
        }
    }
    drive.packet([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], (DATA, 8));
    print!("medium ", u32::from_be(rt::read(DATA)), " ", u32::from_be(rt::read(DATA + 4)), "\n");
    let read = drive.packet([0x28, 0, 0, 0, 0, 16, 0, 0, 1, 0, 0, 0], (DATA, 2048));
    print!("block ", u8::from(read), " ", rt::read::<u8>(DATA + 1), " ", rt::read::<u8>(DATA + 2), "\n");
}
