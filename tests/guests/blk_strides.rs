//! Reads a sector of every 2 MiB of its first disk, and prints when it has read half of them and all.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use virtio::{Device, NEXT, WRITE, descriptor};

const SLOT: u8 = 1;
const HEADER: u64 = 0x50_0000;
const DATA: u64 = 0x50_1000;
const STATUS: u64 = 0x50_2000;
const SECTOR: u64 = 512;
const STRIDE: u64 = 2 << 20;

/// virtio 1.3, "Virtio Structure PCI Capabilities": `VIRTIO_PCI_CAP_DEVICE_CFG`.
const DEVICE: u8 = 4;

extern "C" fn guest_main() -> u32 {
    let disk = Device::find(SLOT);
    let sectors: u64 = rt::read(virtio::structure(SLOT, DEVICE));
    disk.start();
    let count = sectors * SECTOR / STRIDE;
    for number in 0..count {
        // A read.
        rt::write(HEADER, 0_u64);
        rt::write(HEADER + 8, number * (STRIDE / SECTOR));
        rt::write(STATUS, 0xff_u8);
        let header = descriptor(HEADER, 16, NEXT, 1);
        let data = descriptor(DATA, SECTOR as u32, NEXT | WRITE, 2);
        let status = descriptor(STATUS, 1, WRITE, 0);
        let index = (number + 1) as u16;
        disk.submit(&[header, data, status], &[0], index);
        disk.wait(index);
        if rt::read::<u8>(STATUS) != 0 {
            return 7;
        }
        if number + 1 == count / 2 {
            print!("half\n");
        }
    }
    print!("all\n");
    // The host measures its memory until it is ended.
    loop {
        core::hint::spin_loop();
    }
}
