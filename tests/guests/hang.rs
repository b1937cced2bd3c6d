//! Hangs with interrupts off, and a number in RBX.
#![no_std]
#![no_main]

mod rt;

use core::arch::asm;

extern "C" fn guest_main() -> u32 {
    print!("hanging\n");
    // SAFETY: nothing follows.
    unsafe { asm!("cli", "mov rbx, {}", "2: jmp 2b", in(reg) 0x1234_5678_90ab_cdef_u64, options(noreturn)) }
}
