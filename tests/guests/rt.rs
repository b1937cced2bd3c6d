//! What every tiny guest starts with: 64-bit mode by Linux's boot protocol, no paging of its own, no interrupts.
#![allow(dead_code, reason = "no guest needs all of it")]

use core::{
    arch::{asm, global_asm},
    panic::PanicInfo,
};

global_asm!(
    ".section .text.start, \"ax\"",
    ".global _start",
    "_start:",
    "lea rsp, [rip + stack_end]",
    "call {main}",
    "mov edi, eax",
    "call {exit}",
    ".section .bss",
    ".balign 16",
    ".skip 0x8000",
    "stack_end:",
    ".text",
    main = sym crate::guest_main,
    exit = sym exit,
);

pub const DEBUG_EXIT: u16 = 0xf4;
const COM1: u16 = 0x3f8;

/// Ends nvmm with `(value << 1) | 1`.
pub extern "C" fn exit(value: u32) -> ! {
    loop {
        outl(DEBUG_EXIT, value);
    }
}

/// ACPI's soft-off: `SLP_TYP` 5 with `SLP_EN`, into PM1a control.
pub fn power_off() -> ! {
    loop {
        outw(0x604, 5 << 10 | 1 << 13);
    }
}

macro_rules! port {
    ($in:ident, $out:ident, $type:ty, $register:tt) => {
        pub fn $in(port: u16) -> $type {
            let value: $type;
            unsafe { asm!(concat!("in ", $register, ", dx"), out($register) value, in("dx") port, options(nomem, nostack)) };
            value
        }

        pub fn $out(port: u16, value: $type) {
            unsafe { asm!(concat!("out dx, ", $register), in($register) value, in("dx") port, options(nomem, nostack)) };
        }
    };
}

port!(inw, outw, u16, "ax");
port!(inl, outl, u32, "eax");

pub fn inb(port: u16) -> u8 {
    let value: u8;
    unsafe { asm!("in al, dx", out("al") value, in("dx") port, options(nomem, nostack)) };
    value
}

pub fn outb(port: u16, value: u8) {
    unsafe { asm!("out dx, al", in("al") value, in("dx") port, options(nomem, nostack)) };
}

pub fn read<T: Copy>(address: u64) -> T {
    unsafe { (address as *const T).read_volatile() }
}

pub fn write<T>(address: u64, value: T) {
    unsafe { (address as *mut T).write_volatile(value) }
}

/// Prints text, numbers in hexadecimal and byte strings, one byte an instruction. core's own formatting uses SSE, which a KVM that
/// emulates the guest in software may lack.
#[macro_export]
macro_rules! print {
    ($($part:expr),*) => {{ $($crate::rt::Print::print(&$part);)* }};
}

pub trait Print {
    fn print(&self);
}

impl Print for &str {
    fn print(&self) {
        for byte in self.bytes() {
            outb(COM1, byte);
        }
    }
}

macro_rules! print_number {
    ($($type:ty)*) => {$(
        impl Print for $type {
            fn print(&self) {
                let value = u64::from(*self);
                let digits = (64 - (value | 1).leading_zeros()).div_ceil(4);
                for digit in (0..digits).rev() {
                    let digit = (value >> (4 * digit)) as u8 & 0xf;
                    outb(COM1, digit + if digit < 10 { b'0' } else { b'a' - 10 });
                }
            }
        }
    )*};
}

print_number!(u8 u16 u32 u64);

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    print!("guest: panic\n");
    exit(0x7f)
}

/// core's tables name it; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// xorshift64*.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// PCI configuration space by ECAM.
pub mod pci {
    const ECAM: u64 = 0xe000_0000;

    pub fn config(slot: u8, offset: u16) -> u64 {
        ECAM | u64::from(slot) << 15 | u64::from(offset)
    }

    /// The address of BAR `n`, 64-bit or not.
    pub fn bar(slot: u8, n: u16) -> u64 {
        let low: u32 = super::read(config(slot, 0x10 + 4 * n));
        let high: u32 = if low & 0b110 == 0b100 { super::read(config(slot, 0x14 + 4 * n)) } else { 0 };
        u64::from(high) << 32 | u64::from(low & !0xf)
    }
}
