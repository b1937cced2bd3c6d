//! Waits for the power button, and powers off.
#![no_std]
#![no_main]

mod rt;

const PM1_STATUS: u16 = 0x600;
const PM1_ENABLE: u16 = 0x602;
const POWER_BUTTON: u16 = 1 << 8;

extern "C" fn guest_main() -> u32 {
    rt::outw(PM1_ENABLE, POWER_BUTTON);
    print!("ready\n");
    while rt::inw(PM1_STATUS) & POWER_BUTTON == 0 {}
    print!("button\n");
    rt::power_off()
}
