//! Prints a line, and resets the machine in the way that its command line names.
#![no_std]
#![no_main]

mod rt;

const CMDLINE: u64 = 0x2_0000;

extern "C" fn guest_main() -> u32 {
    print!("boot\n");
    match rt::read::<u8>(CMDLINE) {
        b'a' => rt::outb(0xcf9, 6),
        b'k' => rt::outb(0x64, 0xfe),
        // First A20, which must not reset.
        b'p' => {
            rt::outb(0x92, rt::inb(0x92) & !1 | 2);
            rt::outb(0x92, rt::inb(0x92) | 1);
        }
        other => return u32::from(other),
    }
    0
}
