//! Prints the functions on PCI bus 0, found in a kernel's way, and reads the first sector of each disk.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use rt::pci::{self, Function};
use virtio::{Device, NEXT, WRITE, descriptor};

const HEADER: u64 = 0x80_0000;
const DATA: u64 = 0x80_1000;
const STATUS: u64 = 0x80_2000;

const MULTI_FUNCTION: u8 = 0x80;

extern "C" fn guest_main() -> u32 {
    for device in 0..32 {
        let header: u8 = rt::read(pci::config(device, 0xe));
        let functions = if header & MULTI_FUNCTION != 0 { 8 } else { 1 };
        for number in 0..8 {
            let function = Function::new(device, number);
            let id: u32 = rt::read(pci::config(function, 0));
            if id == u32::MAX {
                continue;
            }
            if number >= functions {
                print!("hidden\n");
            }
            if id == 0x1042_1af4 {
                let pin: u8 = rt::read(pci::config(function, 0x3d));
                let line: u8 = rt::read(pci::config(function, 0x3c));
                print!(device, ".", number, " pin ", pin, " line ", line, " ");
                print!(first_sector(&Device::find(function)), "\n");
            }
        }
    }
    0
}

/// The disk's first byte, or its status if that is not 0.
fn first_sector(disk: &Device) -> u8 {
    disk.start();
    rt::write(HEADER, [0_u64; 2]);
    rt::write(STATUS, 0xff_u8);
    let header = descriptor(HEADER, 16, NEXT, 1);
    let data = descriptor(DATA, 512, NEXT | WRITE, 2);
    disk.submit(&[header, data, descriptor(STATUS, 1, WRITE, 0)], &[0], 1);
    disk.wait(1);
    match rt::read::<u8>(STATUS) {
        0 => rt::read(DATA),
        status => status,
    }
}
