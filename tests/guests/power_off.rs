//! Powers off at once: what a machine costs.
#![no_std]
#![no_main]

mod rt;

extern "C" fn guest_main() -> u32 {
    rt::power_off()
}
