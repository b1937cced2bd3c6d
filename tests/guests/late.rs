//! Reads no input until the power button is pressed. Then `e` ends a text, whose length and sum it prints; `R` resets, and `o` powers off.
#![no_std]
#![no_main]

mod rt;

const PM1_STATUS: u16 = 0x600;
const PM1_ENABLE: u16 = 0x602;
const POWER_BUTTON: u16 = 1 << 8;
const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;

extern "C" fn guest_main() -> u32 {
    rt::outw(PM1_ENABLE, POWER_BUTTON);
    print!("ready\n");
    while rt::inw(PM1_STATUS) & POWER_BUTTON == 0 {}
    rt::outw(PM1_STATUS, POWER_BUTTON);
    print!("button\n");
    let (mut len, mut sum) = (0_u32, 0_u32);
    loop {
        while rt::inb(LINE_STATUS) & 1 == 0 {}
        match rt::inb(DATA) {
            b'R' => rt::outb(0xcf9, 6),
            b'o' => rt::power_off(),
            b'e' => {
                print!(len, " ", sum, "\n");
                (len, sum) = (0, 0);
            }
            byte => {
                len += 1;
                sum = sum.wrapping_mul(31).wrapping_add(u32::from(byte));
            }
        }
    }
}
