//! Sleeps until a serial port interrupts, and says back what came on each; COM1 and COM3 have one interrupt line, COM2 and COM4 another.
//! `q` is the end.
#![no_std]
#![no_main]

mod rt;

use core::arch::{asm, global_asm};

/// COM1 to COM4.
const PORTS: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
const INTERRUPT_ENABLE: u16 = 1;
const LINE_STATUS: u16 = 5;

const PIC_MASKS: [u16; 2] = [0x21, 0xa1];
const LAPIC: u64 = 0xfee0_0000;
const SPURIOUS: u64 = 0xf0;
const IOAPIC: u64 = 0xfec0_0000;
/// The lines' GSIs, each with the vector that it gets.
const LINES: [(u32, u32); 2] = [(3, 0x23), (4, 0x24)];

global_asm!(
    "on_interrupt:",
    "push rax",
    "mov eax, 0xfee000b0",
    // End of interrupt.
    "mov dword ptr [rax], 0",
    "pop rax",
    "iretq",
);

unsafe extern "C" {
    fn on_interrupt();
}

extern "C" fn guest_main() -> u32 {
    handle_interrupts();
    // The same lines lead to the PICs, too.
    PIC_MASKS.map(|port| rt::outb(port, 0xff));
    rt::write(LAPIC + SPURIOUS, 0x1ff_u32);
    for (gsi, vector) in LINES {
        // Edge-triggered, to the first processor.
        for (register, value) in [(0x11 + 2 * gsi, 0), (0x10 + 2 * gsi, vector)] {
            rt::write(IOAPIC, register);
            rt::write(IOAPIC + 0x10, value);
        }
    }
    PORTS.map(|port| rt::outb(port + INTERRUPT_ENABLE, 1));
    print!("ready\n");
    loop {
        while serve() {}
        // Input since `serve` looked has interrupted already, and ends the sleep at once.
        unsafe { asm!("sti", "hlt", "cli") };
    }
}

/// Says back a byte of each port. Returns whether there was any.
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

fn handle_interrupts() {
    static mut IDT: [[u64; 2]; 0x30] = [[0; 2]; 0x30];
    let selector: u16;
    unsafe { asm!("mov {0:x}, cs", out(reg) selector, options(nomem, nostack)) };
    let handler = on_interrupt as *const () as u64;
    for (_, vector) in LINES {
        // An interrupt gate, present.
        let low =
            handler & 0xffff | u64::from(selector) << 16 | 0x8e00 << 32 | (handler >> 16 & 0xffff) << 48;
        unsafe { (&raw mut IDT[vector as usize]).write_volatile([low, handler >> 32]) };
    }
    let address = &raw const IDT as u64;
    let limit = size_of::<[[u64; 2]; 0x30]>() as u16 - 1;
    let register =
        [limit, address as u16, (address >> 16) as u16, (address >> 32) as u16, (address >> 48) as u16];
    unsafe { asm!("lidt [{0}]", in(reg) &register, options(nostack)) };
}
