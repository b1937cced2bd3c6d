//! Prints a line, and then computes and exits forever, like a running guest of a guest.
#![no_std]
#![no_main]

mod rt;

use rt::Random;

extern "C" fn guest_main() -> u32 {
    print!("spinning\n");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    loop {
        for _ in 0..100_000 {
            random.next();
        }
        // The UART's scratch register: an exit to nvmm.
        rt::outb(0x3ff, core::hint::black_box(random.0) as u8);
    }
}
