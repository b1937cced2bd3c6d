//! Writes to its first disk, reads it back and flushes it, each after a reset of the device; then prints the disk's size whenever the
//! device reports a change.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use virtio::{Device, NEXT, WRITE, descriptor};

const SLOT: u8 = 1;
const HEADER: u64 = 0x50_0000;
const DATA: u64 = 0x50_1000;
const STATUS: u64 = 0x50_2000;

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;

/// virtio 1.3, "Virtio Structure PCI Capabilities": `VIRTIO_PCI_CAP_ISR_CFG`, `VIRTIO_PCI_CAP_DEVICE_CFG`.
const ISR: u8 = 3;
const DEVICE: u8 = 4;

/// Virtio 1.3, "ISR status capability": the configuration has changed.
const CONFIG_CHANGED: u8 = 2;

extern "C" fn guest_main() -> u32 {
    let disk = Device::find(SLOT);
    let (isr, config) = (virtio::structure(SLOT, ISR), virtio::structure(SLOT, DEVICE));
    for kind in [OUT, IN, FLUSH] {
        request(&disk, kind);
        print!(rt::read::<u8>(STATUS), "\n");
    }
    print!("ready\n");
    loop {
        if rt::read::<u8>(isr) & CONFIG_CHANGED != 0 {
            print!("sectors ", rt::read::<u64>(config), "\n");
        }
    }
}

fn request(disk: &Device, kind: u32) {
    disk.start();
    rt::write(HEADER, u64::from(kind));
    rt::write(HEADER + 8, 1_u64);
    rt::write(STATUS, 0xff_u8);
    let header = descriptor(HEADER, 16, NEXT, 1);
    let data = descriptor(DATA, 512, if kind == IN { NEXT | WRITE } else { NEXT }, 2);
    let status = descriptor(STATUS, 1, WRITE, 0);
    match kind {
        FLUSH => disk.submit(&[header, status], &[0], 1),
        _ => disk.submit(&[header, data, status], &[0], 1),
    }
    disk.wait(1);
}
