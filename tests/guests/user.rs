//! Hangs in user mode, in a page that is read-only, with SMAP if the processor has it: the kernel must not read the page then.
#![no_std]
#![no_main]

mod rt;

use core::arch::{asm, x86_64::__cpuid_count};

/// The page tables at entry: PML4, PDPT, page directory.
const TABLES: [u64; 3] = [0x9000, 0xa000, 0xb000];
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// The user's page, of 2 MiB: its entry in the page directory, and its address.
const ENTRY: u64 = 4;
const PAGE: u64 = ENTRY << 21;
const CR4_SMAP: u64 = 1 << 20;

/// Kernel code, user data and user code, each present, of 64 bits and accessed.
static GDT: [u64; 4] = [0, 0x00af_9b00_0000_ffff, 0x00cf_f300_0000_ffff, 0x00af_fb00_0000_ffff];
const USER_DATA: u64 = 0x10 | 3;
const USER_CODE: u64 = 0x18 | 3;

extern "C" fn guest_main() -> u32 {
    // nop; jmp $
    rt::write(PAGE, [0x90_u8, 0xeb, 0xfe]);
    rt::write(PAGE + 0x100, *b"the user's");
    let page = TABLES[2] + ENTRY * 8;
    for entry in [TABLES[0], TABLES[1], page] {
        rt::write(entry, rt::read::<u64>(entry) | USER);
    }
    rt::write(page, rt::read::<u64>(page) & !WRITABLE);
    let has_leaf = __cpuid_count(0, 0).eax >= 7;
    let has_smap = has_leaf && __cpuid_count(7, 0).ebx & 1 << 20 != 0;
    let address = &raw const GDT as u64;
    let register = [
        size_of_val(&GDT) as u16 - 1,
        address as u16,
        (address >> 16) as u16,
        (address >> 32) as u16,
        (address >> 48) as u16,
    ];
    unsafe {
        asm!("lgdt [{}]", in(reg) &register, options(nostack));
        // Flush the old translations.
        asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack));
        if has_smap {
            asm!("mov {0}, cr4", "or {0}, {1}", "mov cr4, {0}", out(reg) _, in(reg) CR4_SMAP, options(nostack));
        }
    }
    print!("in user mode ", if has_smap { "with" } else { "without" }, " SMAP\n");
    // Interrupts are off, and so is EFLAGS.AC.
    unsafe {
        asm!(
            "push {data}", "push {stack}", "push 2", "push {code}", "push {entry}", "iretq",
            data = in(reg) USER_DATA, stack = in(reg) PAGE + 0x1000, code = in(reg) USER_CODE,
            entry = in(reg) PAGE, options(noreturn),
        )
    }
}
