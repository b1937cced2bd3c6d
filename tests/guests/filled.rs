//! Writes to each page of as many MiB as its command line gives, from 16 MiB on, and powers off at `q` on the serial port. Any other byte
//! is echoed.
#![no_std]
#![no_main]

mod rt;

const CMDLINE: u64 = 0x2_0000;
const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;
const FROM: u64 = 16 << 20;
const PAGE: u64 = 4 << 10;

extern "C" fn guest_main() -> u32 {
    let mut mebibytes = 0;
    for at in CMDLINE.. {
        match rt::read::<u8>(at) {
            digit @ b'0'..=b'9' => mebibytes = 10 * mebibytes + u64::from(digit - b'0'),
            _ => break,
        }
    }
    for page in (FROM..FROM + (mebibytes << 20)).step_by(PAGE as usize) {
        rt::write(page, page | 1);
    }
    print!("ready\n");
    loop {
        while rt::inb(LINE_STATUS) & 1 == 0 {}
        match rt::inb(DATA) {
            b'q' => rt::power_off(),
            byte => rt::outb(DATA, byte),
        }
    }
}
