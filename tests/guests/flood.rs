//! Prints numbered 64-byte lines: as many times 64 KiB as the first letter of its command line gives (`a` is once), or without end (`.`).
//! Then it waits for a byte, and powers off.
#![no_std]
#![no_main]

mod rt;

use core::arch::asm;

const CMDLINE: u64 = 0x2_0000;
const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;
const LINE: usize = 64;

extern "C" fn guest_main() -> u32 {
    static mut PAGE: [u8; 4096] = [b' '; 4096];
    let page = &raw mut PAGE as u64;
    let pages = match rt::read::<u8>(CMDLINE) {
        b'.' => u32::MAX,
        letter => u32::from(letter - b'a' + 1) * 16,
    };
    for number in 0..pages {
        for line in 0..4096 / LINE {
            let start = page + (line * LINE) as u64;
            for digit in 0..8_u32 {
                let nibble = ((number * 64 + line as u32) >> (28 - 4 * digit)) as u8 & 0xf;
                rt::write(start + u64::from(digit), nibble + if nibble < 10 { b'0' } else { b'a' - 10 });
            }
            rt::write(start + LINE as u64 - 1, b'\n');
        }
        unsafe { asm!("rep outsb", inout("rsi") page => _, inout("rcx") 4096_u64 => _, in("dx") DATA, options(nostack)) };
    }
    print!("end\n");
    while rt::inb(LINE_STATUS) & 1 == 0 {}
    rt::power_off()
}
