//! Fills a disk's virtqueue with invalid contents. Each of them must make the device need a reset, and a reset must repair it.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use virtio::{Descriptor, Device, INDIRECT, NEEDS_RESET, NEXT, QUEUE_SIZE, WRITE, descriptor};

const HEADER: u64 = 0x50_0000;
const DATA: u64 = 0x50_1000;
const STATUS: u64 = 0x50_2000;
const TABLE: u64 = 0x50_3000;
const PAST_MEMORY: u64 = 0x4000_0000;

const READ_HEADER: Descriptor = descriptor(HEADER, 16, NEXT, 1);
const DATA_IN: Descriptor = descriptor(DATA, 512, NEXT | WRITE, 2);
const STATUS_IN: Descriptor = descriptor(STATUS, 1, WRITE, 0);

extern "C" fn guest_main() -> u32 {
    let disk = Device::find(1);
    let nothing = descriptor(0, 0, 0, 0);
    let cases: [(&str, [Descriptor; 3], &[u16], u16); 12] = [
        ("a loop", [READ_HEADER, descriptor(DATA, 512, NEXT | WRITE, 0), nothing], &[0], 1),
        ("a descriptor that is its own next", [descriptor(HEADER, 16, NEXT, 0), nothing, nothing], &[0], 1),
        ("next past the table", [descriptor(HEADER, 16, NEXT, QUEUE_SIZE), nothing, nothing], &[0], 1),
        ("a head past the table", [READ_HEADER, DATA_IN, STATUS_IN], &[0xffff], 1),
        ("an index past the ring", [READ_HEADER, DATA_IN, STATUS_IN], &[0], 0x4000),
        ("an address past memory", [READ_HEADER, descriptor(PAST_MEMORY, 512, NEXT | WRITE, 2), STATUS_IN], &[0], 1),
        ("a length past memory", [READ_HEADER, descriptor(DATA, u32::MAX, NEXT | WRITE, 2), STATUS_IN], &[0], 1),
        ("an address that wraps", [READ_HEADER, descriptor(u64::MAX - 8, 512, NEXT | WRITE, 2), STATUS_IN], &[0], 1),
        ("no room for a status", [descriptor(HEADER, 16, 0, 0), nothing, nothing], &[0], 1),
        ("a header that is too short", [descriptor(HEADER, 3, NEXT, 2), nothing, STATUS_IN], &[0], 1),
        ("an indirect table of odd size", [descriptor(TABLE, 17, INDIRECT, 0), nothing, nothing], &[0], 1),
        ("indirect in indirect", [descriptor(TABLE, 32, INDIRECT, 0), nothing, nothing], &[0], 1),
    ];
    for (name, descriptors, heads, index) in cases {
        disk.start();
        rt::write(HEADER, [0_u64; 2]);
        disk.write_descriptors(TABLE, &[descriptor(TABLE, 32, INDIRECT | NEXT, 1), STATUS_IN]);
        disk.submit(&descriptors, heads, index);
        let answered = disk.wait(u16::MAX);
        let needs_reset = disk.status() & NEEDS_RESET != 0;
        if !answered || !needs_reset {
            print!(name, ": not refused\n");
            return 1;
        }
        print!(name, ": needs reset\n");
        if !read_first_sector(&disk) {
            print!(name, ": broken for good\n");
            return 2;
        }
    }
    0
}

/// Makes a valid request after all that, and checks the result: the disk starts with its own name.
fn read_first_sector(disk: &Device) -> bool {
    disk.start();
    rt::write(HEADER, [0_u64; 2]);
    rt::write(DATA, 0_u64);
    rt::write(STATUS, 0xff_u8);
    disk.submit(&[READ_HEADER, DATA_IN, STATUS_IN], &[0], 1);
    disk.wait(1) && rt::read::<u8>(STATUS) == 0 && rt::read::<[u8; 8]>(DATA) == *b"NVMMDISK"
}
