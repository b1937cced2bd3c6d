//! Halts until an interrupt arrives, and prints which: `timer` for the local APIC's timer, `byte` for the serial port. The byte `l` makes
//! the timer expire once in five minutes, `s` in half a second; `q` ends it.
#![no_std]
#![no_main]

mod interrupts;
mod rt;

const DATA: u16 = 0x3f8;
const INTERRUPT_ENABLE: u16 = 0x3f9;
const LINE_STATUS: u16 = 0x3fd;
const COM1_GSI: u32 = 4;

const LAPIC: u64 = 0xfee0_0000;
const TIMER: usize = interrupts::FIRST;
const SERIAL: usize = interrupts::FIRST + 1;

/// A second in the timer's counts: KVM's local APIC counts nanoseconds, here divided by 128.
const SECOND: u32 = 1_000_000_000 / 128;

extern "C" fn guest_main() -> u32 {
    interrupts::count();
    // Divided by 128, one-shot.
    rt::write(LAPIC + 0x3e0, 0xa_u32);
    rt::write(LAPIC + 0x320, TIMER as u32);
    interrupts::route(COM1_GSI, SERIAL, false);
    rt::outb(INTERRUPT_ENABLE, 1);
    print!("ready\n");
    loop {
        let vector = interrupts::halt();
        interrupts::end();
        if vector == TIMER {
            print!("timer\n");
            continue;
        }
        while rt::inb(LINE_STATUS) & 1 != 0 {
            match rt::inb(DATA) {
                b'q' => return 0,
                b'l' => arm(300 * SECOND),
                b's' => arm(SECOND / 2),
                _ => print!("byte\n"),
            }
        }
    }
}

/// Makes the timer expire once.
fn arm(count: u32) {
    rt::write(LAPIC + 0x380, count);
    print!("armed\n");
}
