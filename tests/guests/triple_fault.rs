//! An exception without an IDT.
#![no_std]
#![no_main]

mod rt;

use core::arch::asm;

extern "C" fn guest_main() -> u32 {
    let no_table = [0_u16; 5];
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &no_table, options(noreturn)) }
}
