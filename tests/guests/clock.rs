//! Prints for each byte on the serial port the nanoseconds of its kvm-clock, and 1 if it was notified of a pause.
#![no_std]
#![no_main]

mod kvm_clock;
mod rt;

const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;

extern "C" fn guest_main() -> u32 {
    rt::catch_faults();
    if !kvm_clock::enable() {
        print!("no kvm-clock\n");
        return 1;
    }
    print!("ready\n");
    loop {
        while rt::inb(LINE_STATUS) & 1 == 0 {}
        if rt::inb(DATA) == b'q' {
            return 0;
        }
        let (time, paused) = (kvm_clock::nanoseconds(), kvm_clock::was_paused());
        print!(time, " ", u8::from(paused), "\n");
    }
}
