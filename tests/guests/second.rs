//! The start of a second processor: from real mode to the first one's mode, page tables and segments.

use core::arch::{asm, global_asm, x86_64::__cpuid_count};

use crate::rt;

const LAPIC: u64 = 0xfee0_0000;
const INIT_ALL_OTHERS: u32 = 0xc_4500;
const START_ALL_OTHERS: u32 = 0xc_4600;
const EFER: u32 = 0xc000_0080;

/// The address at which it starts, and those of the state that it takes over.
const STARTUP: u64 = 0x8000;
const GDTR: u64 = 0x8f00;
const CR3: u64 = 0x8f10;
const CR4: u64 = 0x8f18;
const EFER_LOW: u64 = 0x8f20;
const CR0: u64 = 0x8f28;
const ENTRY: u64 = 0x8f30;
const SEGMENTS: u64 = 0x8f38;

/// The processor's own stack.
const STACK_END: u64 = 0x58_0000;

global_asm!(
    ".section .rodata",
    ".code16",
    "second_start:",
    "cli",
    "xor ax, ax",
    "mov ds, ax",
    "lgdtd [{gdtr}]",
    "mov eax, dword ptr [{cr4}]",
    "mov cr4, eax",
    "mov eax, dword ptr [{cr3}]",
    "mov cr3, eax",
    "mov ecx, 0xc0000080",
    "xor edx, edx",
    "mov eax, dword ptr [{efer}]",
    "wrmsr",
    "mov eax, dword ptr [{cr0}]",
    "mov cr0, eax",
    // To 64-bit code, by a far jump with a 32-bit offset and the segment.
    ".byte 0x66",
    "ljmp [{entry}]",
    "second_end:",
    ".code64",
    ".text",
    "second_in_long_mode:",
    "mov eax, dword ptr [{segments}]",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    "mov rsp, {stack}",
    "call qword ptr [{entry} + 16]",
    "ud2",
    gdtr = const GDTR,
    cr3 = const CR3,
    cr4 = const CR4,
    efer = const EFER_LOW,
    cr0 = const CR0,
    entry = const ENTRY,
    segments = const SEGMENTS,
    stack = const STACK_END,
);

unsafe extern "C" {
    static second_start: u8;
    static second_end: u8;
    fn second_in_long_mode();
}

/// Starts the second processor, if there is one. It then runs `entry` with its own stack and without an IDT.
pub fn start(entry: extern "C" fn() -> !) -> bool {
    if __cpuid_count(1, 0).ebx >> 16 & 0xff < 2 {
        return false;
    }
    let (start, end) = (&raw const second_start as u64, &raw const second_end as u64);
    for offset in 0..end - start {
        rt::write(STARTUP + offset, rt::read::<u8>(start + offset));
    }
    let (cs, ss): (u32, u32);
    let [mut cr0, mut cr3, mut cr4] = [0_u64; 3];
    unsafe {
        asm!("sgdt [{}]", in(reg) GDTR);
        asm!("mov {0:e}, cs", "mov {1:e}, ss", out(reg) cs, out(reg) ss);
        asm!("mov {0}, cr0", "mov {1}, cr3", "mov {2}, cr4", inout(reg) cr0, inout(reg) cr3, inout(reg) cr4);
    }
    rt::write(CR0, cr0);
    rt::write(CR3, cr3);
    rt::write(CR4, cr4);
    // Long mode activates itself.
    rt::write(EFER_LOW, rt::rdmsr(EFER).unwrap_or(0) & !(1 << 10));
    rt::write(ENTRY, [second_in_long_mode as *const () as u32, cs]);
    rt::write(SEGMENTS, ss);
    rt::write(ENTRY + 16, entry as *const () as u64);
    rt::write(LAPIC + 0x300, INIT_ALL_OTHERS);
    rt::write(LAPIC + 0x300, START_ALL_OTHERS | (STARTUP >> 12) as u32);
    true
}
