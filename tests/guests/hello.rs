//! Prints by string instructions and by single ones, and ends with 21.
#![no_std]
#![no_main]

mod rt;

use core::arch::asm;

extern "C" fn guest_main() -> u32 {
    let text = "string\n";
    unsafe {
        asm!("cld", "rep outsb", inout("rsi") text.as_ptr() => _, inout("rcx") text.len() => _, in("dx") 0x3f8_u16, options(nostack));
    }
    print!("single\n");
    // The UART's scratch register, by a string instruction with one-byte elements: it keeps the last one.
    let scratch = [1_u8, 2, 3];
    unsafe {
        asm!("rep outsb", inout("rsi") scratch.as_ptr() => _, inout("rcx") 3_u64 => _, in("dx") 0x3ff_u16, options(nostack));
    }
    print!("scratch ", rt::inb(0x3ff), "\n");
    let mut line_status = [0_u8; 4];
    unsafe {
        asm!("rep insb", inout("rdi") line_status.as_mut_ptr() => _, inout("rcx") 4_u64 => _, in("dx") 0x3fd_u16, options(nostack));
    }
    for byte in line_status {
        print!("line status ", byte, "\n");
    }
    print!("nothing ", rt::inb(0x2f8), " ", rt::inw(0x2f8), " ", rt::inl(0x2f8), "\n");
    print!("no memory ", rt::read::<u64>(0xd000_0000), "\n");
    21
}
