//! Prints the events that pvpanic supports, and then reports that its kernel panicked, or the event at the start of its command line.
#![no_std]
#![no_main]

mod rt;

const CMDLINE: u64 = 0x2_0000;
const PVPANIC: u16 = 0x505;

extern "C" fn guest_main() -> u32 {
    print!("pvpanic ", rt::inb(PVPANIC), "\n");
    let events = match rt::read::<u8>(CMDLINE) {
        b'p' => 1,
        b'c' => 2,
        b's' => 4,
        other => return u32::from(other),
    };
    rt::outb(PVPANIC, events);
    print!("goes on\n");
    0
}
