//! Fills a disk's queue with the most that it can hold, 256 chains of nearly 4 GiB each, and resets the device. Then it does the first
//! again, and runs forever.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use virtio::{Device, INDIRECT, NEXT, WRITE, descriptor};

const HEADER: u64 = 0x50_0000;
const STATUS: u64 = 0x50_2000;
const TABLE: u64 = 0x50_4000;
/// The buffer of the disk's first sector, which is not all zeros: the device has started once it is there.
const BEGUN: u64 = 0x50_3000;
/// All other buffers are these same 8 MiB, up to the end of memory.
const DATA: u64 = 0x80_0000;
const DATA_LEN: u32 = 8 << 20;

const CHAINS: u16 = 256;
const BUFFERS: u16 = 512;

extern "C" fn guest_main() -> u32 {
    let disk = Device::find(1);
    flood(&disk);
    print!("flooded\n");
    disk.reset();
    print!("reset\n");
    flood(&disk);
    print!("flooded again\n");
    loop {}
}

fn flood(disk: &Device) {
    disk.start_sized(0, CHAINS);
    rt::write(HEADER, [0_u64; 2]);
    rt::write(BEGUN, 0_u8);
    disk.write_descriptors(TABLE, &[descriptor(HEADER, 16, NEXT, 1), descriptor(BEGUN, 512, NEXT | WRITE, 2)]);
    for n in 2..=BUFFERS {
        let buffer = descriptor(DATA, DATA_LEN, NEXT | WRITE, n + 1);
        disk.write_descriptors(TABLE + 16 * u64::from(n), &[buffer]);
    }
    let last = u64::from(BUFFERS) + 1;
    disk.write_descriptors(TABLE + 16 * last, &[descriptor(STATUS, 1, WRITE, 0)]);
    let chains = [descriptor(TABLE, 16 * (last as u32 + 1), INDIRECT, 0); CHAINS as usize];
    let heads: [u16; CHAINS as usize] = core::array::from_fn(|n| n as u16);
    disk.submit(&chains, &heads, CHAINS);
    while rt::read::<u8>(BEGUN) == 0 {}
}
