//! Sleeps until the keyboard interrupts, and prints each of its bytes; the release of Esc ends it.
#![no_std]
#![no_main]

mod edges;
mod rt;

const DATA: u16 = 0x60;
const STATUS: u16 = 0x64;
const OUTPUT_FULL: u8 = 1;
const GSI: u32 = 1;
const ESC_RELEASED: u8 = 0x81;
/// The keyboard's command to set its lights, and its answer.
const SET_LIGHTS: u8 = 0xed;
const ACK: u8 = 0xfa;

extern "C" fn guest_main() -> u32 {
    if rt::inb(STATUS) & OUTPUT_FULL == 0 && rt::inb(DATA) == 0 && !answers() {
        print!("no keyboard\n");
        return 1;
    }
    edges::listen(&[GSI]);
    print!("ready\n");
    loop {
        // One byte for each interrupt, as drivers read them.
        edges::sleep();
        if rt::inb(STATUS) & OUTPUT_FULL == 0 {
            print!("nothing\n");
            continue;
        }
        let byte = rt::inb(DATA);
        print!(byte, "\n");
        if byte == ESC_RELEASED {
            return 0;
        }
    }
}

/// Returns whether a keyboard answers. This turns its lights off.
fn answers() -> bool {
    for byte in [SET_LIGHTS, 0] {
        rt::outb(DATA, byte);
        if rt::inb(STATUS) & OUTPUT_FULL == 0 || rt::inb(DATA) != ACK {
            return false;
        }
    }
    true
}
