//! Prints a line on each serial port, and then echoes the input on the port it came from; `q` ends it, and `R` resets.
#![no_std]
#![no_main]

mod rt;

/// COM1 to COM4.
const PORTS: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
const LINE_STATUS: u16 = 5;
/// The value read from a port without a device.
const NOTHING: u8 = 0xff;

extern "C" fn guest_main() -> u32 {
    for (n, &port) in (b'1'..).zip(&PORTS) {
        b"COM".iter().chain(&[n]).chain(b" ready\n").for_each(|&byte| rt::outb(port, byte));
    }
    loop {
        for port in PORTS {
            let status = rt::inb(port + LINE_STATUS);
            if status == NOTHING || status & 1 == 0 {
                continue;
            }
            match rt::inb(port) {
                b'q' => return 0,
                b'R' => rt::outb(0xcf9, 6),
                byte => rt::outb(port, byte),
            }
        }
    }
}
