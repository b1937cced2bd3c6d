//! Waits for an interrupt that never arrives.
#![no_std]
#![no_main]

mod rt;

use core::arch::asm;

extern "C" fn guest_main() -> u32 {
    print!("idle\n");
    loop {
        // SAFETY: after it, only the same instructions run again.
        unsafe { asm!("cli", "hlt") };
    }
}
