//! Powers off at once, to measure the cost of a machine.
#![no_std]
#![no_main]

mod rt;

extern "C" fn guest_main() -> u32 {
    rt::power_off()
}
