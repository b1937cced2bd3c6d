//! The start of every tiny guest: 64-bit mode by Linux's boot protocol, no paging of its own, no interrupts.
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
pub const COM1: u16 = 0x3f8;

/// Ends nvmm with `(value << 1) | 1`.
pub extern "C" fn exit(value: u32) -> ! {
    loop {
        outl(DEBUG_EXIT, value);
    }
}

/// ACPI's soft-off: `SLP_TYP` 0 with `SLP_EN`, into PM1a control.
pub fn power_off() -> ! {
    loop {
        outw(0x604, 1 << 13);
    }
}

/// An exception without an IDT.
pub fn triple_fault() -> ! {
    let no_table = [0_u16; 5];
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &no_table, options(noreturn)) }
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

/// Writes `value` to the 1, 2 or 4 bytes at `port`, or reads them and drops the value.
pub fn access_port(port: u16, len: u16, value: u32, is_write: bool) {
    match (len, is_write) {
        (1, false) => drop(inb(port)),
        (2, false) => drop(inw(port)),
        (_, false) => drop(inl(port)),
        (1, true) => outb(port, value as u8),
        (2, true) => outw(port, value as u16),
        (_, true) => outl(port, value),
    }
}

pub fn read<T: Copy>(address: u64) -> T {
    unsafe { (address as *const T).read_volatile() }
}

pub fn write<T>(address: u64, value: T) {
    unsafe { (address as *mut T).write_volatile(value) }
}

/// An exception that [`attempt`](crate::attempt) ended with.
#[derive(Clone, Copy)]
pub struct Fault(pub u32);

impl Fault {
    pub fn name(self) -> &'static str {
        match self.0 {
            6 => "#UD",
            _ => "#GP",
        }
    }
}

global_asm!(
    // R10 has the address to continue at. Nothing else of the frame is needed: interrupts were off, and stay off.
    "catch_ud:",
    "mov r11d, 6",
    "mov rsp, qword ptr [rsp + 24]",
    "jmp r10",
    "catch_gp:",
    "mov r11d, 13",
    "mov rsp, qword ptr [rsp + 32]",
    "jmp r10",
);

unsafe extern "C" {
    fn catch_ud();
    fn catch_gp();
}

/// Makes [`attempt`](crate::attempt) work.
pub fn catch_faults() {
    static mut IDT: [[u64; 2]; 14] = [[0; 2]; 14];
    let selector: u16;
    unsafe { asm!("mov {0:x}, cs", out(reg) selector, options(nomem, nostack)) };
    for (vector, handler) in [(6, catch_ud as *const () as u64), (13, catch_gp as *const () as u64)] {
        // An interrupt gate, present.
        let low =
            handler & 0xffff | u64::from(selector) << 16 | 0x8e00 << 32 | (handler >> 16 & 0xffff) << 48;
        unsafe { (&raw mut IDT[vector]).write_volatile([low, handler >> 32]) };
    }
    let address = &raw const IDT as u64;
    let limit = size_of::<[[u64; 2]; 14]>() as u16 - 1;
    let register =
        [limit, address as u16, (address >> 16) as u16, (address >> 32) as u16, (address >> 48) as u16];
    unsafe { asm!("lidt [{0}]", in(reg) &register, options(nostack)) };
}

/// Executes instructions, of which one may raise #UD or #GP.
#[macro_export]
macro_rules! attempt {
    ($($instruction:literal),+; $($operand:tt)+) => {{
        let vector: u32;
        core::arch::asm!(
            "lea r10, [rip + 2f]", "xor r11d, r11d", $($instruction),+, "2:", $($operand)+, out("r10") _, out("r11") vector
        );
        if vector == 0 { Ok(()) } else { Err($crate::rt::Fault(vector)) }
    }};
}

pub fn rdmsr(index: u32) -> Result<u64, Fault> {
    let (low, high): (u32, u32);
    unsafe { attempt!("rdmsr"; in("ecx") index, lateout("eax") low, lateout("edx") high)? };
    Ok(u64::from(high) << 32 | u64::from(low))
}

pub fn wrmsr(index: u32, value: u64) -> Result<(), Fault> {
    unsafe { attempt!("wrmsr"; in("ecx") index, in("eax") value as u32, in("edx") (value >> 32) as u32) }
}

/// Prints text, numbers in hexadecimal and byte strings, one byte per instruction. core's own formatting uses SSE, which a KVM that
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

/// core's tables refer to it; nothing unwinds here.
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

    /// A function on bus 0.
    #[derive(Clone, Copy)]
    pub struct Function {
        pub device: u8,
        pub number: u8,
    }

    impl Function {
        pub fn new(device: u8, number: u8) -> Self {
            Self { device, number }
        }
    }

    /// Function 0 of a device.
    impl From<u8> for Function {
        fn from(device: u8) -> Self {
            Self::new(device, 0)
        }
    }

    pub fn config(function: impl Into<Function>, offset: u16) -> u64 {
        let Function { device, number } = function.into();
        ECAM | u64::from(device) << 15 | u64::from(number) << 12 | u64::from(offset)
    }

    /// The address of BAR `n`, 64-bit or 32-bit.
    pub fn bar(function: impl Into<Function>, n: u16) -> u64 {
        let function = function.into();
        let low: u32 = super::read(config(function, 0x10 + 4 * n));
        let high: u32 = if low & 0b110 == 0b100 { super::read(config(function, 0x14 + 4 * n)) } else { 0 };
        u64::from(high) << 32 | u64::from(low & !0xf)
    }
}
