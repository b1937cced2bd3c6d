//! Reads all of its first disk and prints its number of sectors and the sum of their 64-bit words; then tries to read one more sector, and
//! to write the first.
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

const IN: u32 = 0;
const OUT: u32 = 1;

/// virtio 1.3, "Virtio Structure PCI Capabilities": `VIRTIO_PCI_CAP_DEVICE_CFG`.
const DEVICE: u8 = 4;

extern "C" fn guest_main() -> u32 {
    let disk = Device::find(SLOT);
    let sectors: u64 = rt::read(virtio::structure(SLOT, DEVICE));
    disk.start();
    let mut index = 0;
    let mut request = |kind: u32, sector: u64| {
        index += 1;
        rt::write(HEADER, u64::from(kind));
        rt::write(HEADER + 8, sector);
        rt::write(STATUS, 0xff_u8);
        let header = descriptor(HEADER, 16, NEXT, 1);
        let data = descriptor(DATA, SECTOR as u32, if kind == IN { NEXT | WRITE } else { NEXT }, 2);
        let status = descriptor(STATUS, 1, WRITE, 0);
        disk.submit(&[header, data, status], &[0], index);
        disk.wait(index);
        rt::read::<u8>(STATUS)
    };
    let (mut failed, mut sum) = (0_u64, 0_u64);
    for sector in 0..sectors {
        failed += u64::from(request(IN, sector) != 0);
        for word in (DATA..DATA + SECTOR).step_by(8) {
            sum = sum.rotate_left(1) ^ rt::read::<u64>(word);
        }
    }
    print!("sectors ", sectors, " failed ", failed, " sum ", sum, "\n");
    print!("behind ", request(IN, sectors), " write ", request(OUT, 0), "\n");
    0
}
