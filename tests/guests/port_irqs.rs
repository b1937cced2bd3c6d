//! Sleeps until a serial port interrupts, and echoes the input of each; COM1 and COM3 share one interrupt line, COM2 and COM4 another. `q`
//! ends it.
#![no_std]
#![no_main]

mod edges;
mod rt;

/// COM1 to COM4.
const PORTS: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
const INTERRUPT_ENABLE: u16 = 1;
const LINE_STATUS: u16 = 5;

/// The lines' GSIs.
const LINES: [u32; 2] = [3, 4];

extern "C" fn guest_main() -> u32 {
    edges::listen(&LINES);
    PORTS.map(|port| rt::outb(port + INTERRUPT_ENABLE, 1));
    print!("ready\n");
    loop {
        while serve() {}
        // Input since the call of `serve` has interrupted already, and ends the sleep at once.
        edges::sleep();
    }
}

/// Echoes a byte of each port. Returns whether there was any.
fn serve() -> bool {
    let mut any = false;
    for port in PORTS {
        if rt::inb(port + LINE_STATUS) & 1 != 0 {
            any = true;
            match rt::inb(port) {
                b'q' => rt::power_off(),
                byte => rt::outb(port, byte),
            }
        }
    }
    any
}
