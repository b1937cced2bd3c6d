//! Maps one page at all addresses from 512 GiB on, by one table that is its own next at each level, and hangs.
#![no_std]
#![no_main]

mod rt;

use core::arch::asm;

/// The PML4 at entry.
const PML4: u64 = 0x9000;
const TABLE: u64 = 8 << 20;
const PRESENT_WRITABLE: u64 = 0b11;

extern "C" fn guest_main() -> u32 {
    for entry in 0..512 {
        rt::write(TABLE + entry * 8, TABLE | PRESENT_WRITABLE);
    }
    // The lower half of the addresses.
    for entry in 1..256 {
        rt::write(PML4 + entry * 8, TABLE | PRESENT_WRITABLE);
    }
    print!("ready\n");
    unsafe { asm!("cli", "2: jmp 2b", options(noreturn)) }
}
