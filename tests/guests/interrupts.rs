//! Interrupts of the first processor, counted by their vectors. Except for NMIs, they arrive only while it waits for one.
#![allow(dead_code, reason = "no guest needs all of it")]

use core::{
    arch::{asm, global_asm},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

use crate::rt;

/// The vectors that have a handler.
pub const FIRST: usize = 0x50;
const LEN: usize = 8;
pub const NMI: usize = 2;

const PIC_MASKS: [u16; 2] = [0x21, 0xa1];
const LAPIC: u64 = 0xfee0_0000;
const END_OF_INTERRUPT: u64 = LAPIC + 0xb0;
const SPURIOUS: u64 = LAPIC + 0xf0;
const IOAPIC: u64 = 0xfec0_0000;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// NMIs are counted last.
static COUNTS: [AtomicU32; LEN + 1] = [const { AtomicU32::new(0) }; LEN + 1];

global_asm!(
    // 16 bytes for each vector. Interrupts stay off when it returns.
    ".balign 16",
    "handlers:",
    ".set number, 0",
    ".rept {len}",
    ".balign 16",
    "lock inc dword ptr [{counts} + 4 * number]",
    "jmp 2f",
    ".set number, number + 1",
    ".endr",
    "2:",
    "and dword ptr [rsp + 16], -0x201",
    "iretq",
    counts = sym COUNTS,
    len = const LEN + 1,
);

unsafe extern "C" {
    fn handlers();
}

/// Starts to count interrupts, with the local APIC on and the PICs masked.
pub fn count() {
    static mut IDT: [[u64; 2]; FIRST + LEN] = [[0; 2]; FIRST + LEN];
    PIC_MASKS.map(|port| rt::outb(port, 0xff));
    rt::write(SPURIOUS, 0x1ff_u32);
    let selector: u16;
    unsafe { asm!("mov {0:x}, cs", out(reg) selector, options(nomem, nostack)) };
    for number in 0..=LEN {
        let handler = handlers as *const () as u64 + 16 * number as u64;
        // An interrupt gate, present.
        let low =
            handler & 0xffff | u64::from(selector) << 16 | 0x8e00 << 32 | (handler >> 16 & 0xffff) << 48;
        unsafe { (&raw mut IDT[vector(number)]).write_volatile([low, handler >> 32]) };
    }
    let address = &raw const IDT as u64;
    let limit = size_of::<[[u64; 2]; FIRST + LEN]>() as u16 - 1;
    let register =
        [limit, address as u16, (address >> 16) as u16, (address >> 32) as u16, (address >> 48) as u16];
    unsafe { asm!("lidt [{0}]", in(reg) &register, options(nostack)) };
}

/// Makes an input of the IOAPIC interrupt with a vector.
pub fn route(gsi: u32, vector: usize, is_level: bool) {
    redirect(gsi, vector as u32 | if is_level { LEVEL } else { 0 });
}

/// Masks an input.
pub fn mask(gsi: u32) {
    redirect(gsi, MASKED);
}

fn redirect(gsi: u32, low: u32) {
    for (register, value) in [(0x11 + 2 * gsi, 0), (0x10 + 2 * gsi, low)] {
        rt::write(IOAPIC, register);
        rt::write(IOAPIC + 0x10, value);
    }
}

/// Halts until an interrupt arrives, and returns its vector. The caller must send its EOI.
pub fn halt() -> usize {
    loop {
        unsafe { asm!("sti", "hlt", "cli") };
        if let Some(vector) = take() {
            return vector;
        }
    }
}

/// Accepts a pending interrupt, and returns its vector.
pub fn pending() -> Option<usize> {
    unsafe { asm!("sti", "in al, 0x80", "cli", out("al") _) };
    take()
}

/// Sends the interrupt's EOI.
pub fn end() {
    rt::write(END_OF_INTERRUPT, 0_u32);
}

/// Returns the vector of an interrupt that has arrived.
pub fn take() -> Option<usize> {
    let number = COUNTS.iter().position(|count| count.load(SeqCst) != 0)?;
    COUNTS[number].fetch_sub(1, SeqCst);
    Some(vector(number))
}

fn vector(number: usize) -> usize {
    if number == LEN { NMI } else { FIRST + number }
}
