//! Waits for an interrupt that never comes.
#![no_std]
#![no_main]

mod rt;

use core::arch::asm;

extern "C" fn guest_main() -> u32 {
    print!("idle\n");
    loop {
        // SAFETY: nothing runs after it but the same again.
        unsafe { asm!("cli", "hlt") };
    }
}
