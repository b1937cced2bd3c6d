//! Writes to two sectors of its disk, flushes, reads one of them, and prints each status.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use virtio::{Device, NEXT, WRITE, descriptor};

const HEADER: u64 = 0x50_0000;
const DATA: u64 = 0x50_1000;
const STATUS: u64 = 0x50_2000;

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;

extern "C" fn guest_main() -> u32 {
    let disk = Device::find(1);
    rt::write(DATA, *b"written!");
    for (name, kind, sector) in
        [("near", OUT, 1), ("far", OUT, 1024), ("near again", OUT, 2), ("flush", FLUSH, 0), ("read far", IN, 1024)]
    {
        print!(name, " ", request(&disk, kind, sector), "\n");
    }
    0
}

/// The status of a request; 0xff if it was not answered.
fn request(disk: &Device, kind: u32, sector: u64) -> u8 {
    disk.start();
    rt::write(HEADER, u64::from(kind));
    rt::write(HEADER + 8, sector);
    rt::write(STATUS, 0xff_u8);
    let header = descriptor(HEADER, 16, NEXT, 1);
    let data = descriptor(DATA, 512, if kind == IN { NEXT | WRITE } else { NEXT }, 2);
    let status = descriptor(STATUS, 1, WRITE, 0);
    if kind == FLUSH {
        disk.submit(&[header, status], &[0], 1);
    } else {
        disk.submit(&[header, data, status], &[0], 1);
    }
    disk.wait(1);
    rt::read(STATUS)
}
