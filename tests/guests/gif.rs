//! Clears SVM's global interrupt flag, and sends itself an interrupt and an NMI, which are then held until the flag is set again. A byte on
//! the serial port makes it set the flag. It prints the vectors that arrived before and after that.
#![no_std]
#![no_main]

mod interrupts;
mod rt;

use core::arch::asm;

const LINE_STATUS: u16 = 0x3fd;
const LAPIC: u64 = 0xfee0_0000;
const COMMAND: u64 = LAPIC + 0x300;
const TO_SELF: u32 = 1 << 18;
/// To the processor whose ID is in the other half of the register: 0.
const AS_NMI: u32 = 4 << 8;

const EFER: u32 = 0xc000_0080;
const SVME: u64 = 1 << 12;

extern "C" fn guest_main() -> u32 {
    let efer = rt::rdmsr(EFER).unwrap_or_default();
    if rt::wrmsr(EFER, efer | SVME).is_err() {
        print!("no SVM\n");
        return 1;
    }
    interrupts::count();
    unsafe { asm!("clgi", "sti") };
    rt::write(COMMAND, TO_SELF | interrupts::FIRST as u32);
    rt::write(COMMAND, AS_NMI);
    print!("ready\n");
    while rt::inb(LINE_STATUS) & 1 == 0 {}
    tell("before");
    // The NMI comes first, and its handler leaves interrupts off.
    unsafe { asm!("stgi", "nop", "sti", "nop", "nop", "cli") };
    tell(", then");
    print!("\n");
    0
}

/// Prints the vectors of the interrupts that have arrived.
fn tell(when: &str) {
    print!(when);
    while let Some(vector) = interrupts::take() {
        print!(" ", vector as u64);
    }
}
