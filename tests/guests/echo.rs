//! Echoes its input, until `q`; `s` shows that it continues without input, `T` causes a triple fault, and `R` a reset.
#![no_std]
#![no_main]

mod rt;

const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;

extern "C" fn guest_main() -> u32 {
    print!("ready\n");
    loop {
        if rt::inb(LINE_STATUS) & 1 == 0 {
            continue;
        }
        match rt::inb(DATA) {
            b'q' => return 0,
            b'T' => rt::triple_fault(),
            b'R' => rt::outb(0xcf9, 6),
            b's' => {
                (0..1000).for_each(|_| {
                    rt::inb(LINE_STATUS);
                });
                print!("still here\n");
                rt::power_off();
            }
            byte => rt::outb(DATA, byte),
        }
    }
}
