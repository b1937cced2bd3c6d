//! Interrupts of ISA devices, edge-triggered by the IOAPIC, which only end a sleep.

use core::arch::{asm, global_asm};

use crate::rt;

const PIC_MASKS: [u16; 2] = [0x21, 0xa1];
const LAPIC: u64 = 0xfee0_0000;
const SPURIOUS: u64 = 0xf0;
const IOAPIC: u64 = 0xfec0_0000;
/// The vector of GSI 0.
const VECTORS: u32 = 0x20;

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

/// Makes the lines of these GSIs, of the first 16, interrupt the first processor.
pub fn listen(gsis: &[u32]) {
    static mut IDT: [[u64; 2]; 0x30] = [[0; 2]; 0x30];
    // The same lines also lead to the PICs.
    PIC_MASKS.map(|port| rt::outb(port, 0xff));
    rt::write(LAPIC + SPURIOUS, 0x1ff_u32);
    let selector: u16;
    unsafe { asm!("mov {0:x}, cs", out(reg) selector, options(nomem, nostack)) };
    let handler = on_interrupt as *const () as u64;
    for gsi in gsis {
        for (register, value) in [(0x11 + 2 * gsi, 0), (0x10 + 2 * gsi, VECTORS + gsi)] {
            rt::write(IOAPIC, register);
            rt::write(IOAPIC + 0x10, value);
        }
        // An interrupt gate, present.
        let low =
            handler & 0xffff | u64::from(selector) << 16 | 0x8e00 << 32 | (handler >> 16 & 0xffff) << 48;
        unsafe { (&raw mut IDT[(VECTORS + gsi) as usize]).write_volatile([low, handler >> 32]) };
    }
    let address = &raw const IDT as u64;
    let limit = size_of::<[[u64; 2]; 0x30]>() as u16 - 1;
    let register =
        [limit, address as u16, (address >> 16) as u16, (address >> 32) as u16, (address >> 48) as u16];
    unsafe { asm!("lidt [{0}]", in(reg) &register, options(nostack)) };
}

/// Sleeps until there was an interrupt since the last sleep.
pub fn sleep() {
    unsafe { asm!("sti", "hlt", "cli") };
}
