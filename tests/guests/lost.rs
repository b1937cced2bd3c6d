//! A guest with a page that the host may take away. It waits for a byte: `t` accesses the page, `h` gives it to the disk as a request's
//! header, and `d` as its data buffer. Then it prints the request's status; `q` ends it.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use virtio::{Device, NEXT, WRITE, descriptor};

const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;

const PAGE: u64 = 0x80_0000;
/// A unique value in memory, by which the host finds the page.
const MARK: u64 = 0x6d76_6d6e_5f74_736f;
const HEADER: u64 = 0x50_0000;
const BUFFER: u64 = 0x50_1000;
const STATUS: u64 = 0x50_2000;

extern "C" fn guest_main() -> u32 {
    (PAGE..PAGE + 0x1000).step_by(8).for_each(|word| rt::write(word, MARK ^ word));
    rt::write(HEADER, [0_u64; 2]);
    print!("ready\n");
    loop {
        while rt::inb(LINE_STATUS) & 1 == 0 {}
        let status = match rt::inb(DATA) {
            b'q' => return 0,
            b't' => rt::read::<u64>(PAGE),
            b'h' => request(PAGE, BUFFER),
            _ => request(HEADER, PAGE),
        };
        print!("status ", status, "\n");
    }
}

/// Reads a sector of the disk, and returns the request's status.
fn request(header: u64, data: u64) -> u64 {
    let disk = Device::find(1);
    disk.start();
    rt::write(STATUS, 0xff_u8);
    let header = descriptor(header, 16, NEXT, 1);
    let data = descriptor(data, 512, NEXT | WRITE, 2);
    disk.submit(&[header, data, descriptor(STATUS, 1, WRITE, 0)], &[0], 1);
    disk.next_used(0);
    u64::from(rt::read::<u8>(STATUS))
}
