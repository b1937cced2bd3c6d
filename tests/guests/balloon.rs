//! Puts two pages into its balloon, reports two as free, and prints the contents of these and their neighbours after that. With `wait` on
//! its command line, it waits for a byte on the serial port before each step, after it has written to the pages.
#![no_std]
#![no_main]

mod rt;
mod virtio;

use virtio::{Device, WRITE, descriptor};

const SLOT: u8 = 1;
const NUMBERS: u64 = 0x50_0000;
const PAGES: u64 = 0x60_0000;
const PAGE: u64 = 0x1000;

const CMDLINE: u64 = 0x2_0000;
const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;

const INFLATE: u16 = 0;
const REPORT: u16 = 2;

extern "C" fn guest_main() -> u32 {
    for (name, queue) in [("inflated", INFLATE), ("reported", REPORT)] {
        for page in 0..4 {
            rt::write(PAGES + page * PAGE, 0x55_u8);
        }
        if rt::read::<[u8; 4]>(CMDLINE) == *b"wait" {
            print!("ready\n");
            while rt::inb(LINE_STATUS) & 1 == 0 {}
            rt::inb(DATA);
        }
        rt::write(NUMBERS, [PAGES / PAGE + 1, PAGES / PAGE + 2].map(|number| number as u32));
        let balloon = Device::find_queue(SLOT, queue);
        balloon.start();
        let chain = match queue {
            INFLATE => descriptor(NUMBERS, 8, 0, 0),
            _ => descriptor(PAGES + PAGE, 2 * PAGE as u32, WRITE, 0),
        };
        balloon.push(chain, 1);
        if !balloon.wait(1) {
            return 1;
        }
        print!(name);
        for page in 0..4 {
            print!(" ", rt::read::<u8>(PAGES + page * PAGE));
        }
        print!("\n");
    }
    0
}
