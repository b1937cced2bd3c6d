//! Prints on COM2 without end, and meanwhile echoes COM1. `q` ends it.
#![no_std]
#![no_main]

mod rt;

use core::arch::asm;

const COM1: u16 = 0x3f8;
const COM2: u16 = 0x2f8;
const LINE_STATUS: u16 = 5;

extern "C" fn guest_main() -> u32 {
    let line = *b"flood flood flood flood flood flood flood flood flood flood...\r\n";
    print!("ready\n");
    loop {
        unsafe {
            asm!("rep outsb", inout("rsi") line.as_ptr() => _, inout("rcx") line.len() => _, in("dx") COM2, options(nostack));
        }
        if rt::inb(COM1 + LINE_STATUS) & 1 != 0 {
            match rt::inb(COM1) {
                b'q' => return 0,
                byte => rt::outb(COM1, byte),
            }
        }
    }
}
