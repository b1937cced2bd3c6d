//! Prints the addresses of its parts, and counts until a debugger sets `GO`. Then it ends, or with `R` on the command line resets the
//! machine. Each time it counts, it loads RFLAGS, without the trap flag. With `B` it has breakpoints of its own, and also counts these.
#![no_std]
#![no_main]

mod rt;

use core::arch::{asm, global_asm};

const CMDLINE: u64 = 0x2_0000;

// Instructions of 7, 3, 7, 7 and 1 bytes.
global_asm!(
    "tick:",
    "mov rax, qword ptr [rip + {count}]",
    "inc rax",
    "mov qword ptr [rip + {count}], rax",
    "mov rdx, qword ptr [rip + {seen}]",
    "ret",
    "on_breakpoint:",
    "inc qword ptr [rip + {own}]",
    "iretq",
    count = sym COUNT,
    seen = sym SEEN,
    own = sym OWN,
);

static mut COUNT: u64 = 0;
static mut SEEN: u64 = 0;
static mut GO: u64 = 0;
static mut OWN: u64 = 0;
static mut IDT: [[u64; 2]; 4] = [[0; 2]; 4];

unsafe extern "C" {
    fn tick();
    fn on_breakpoint();
}

/// Handles #BP, the only expected exception.
fn set_idt() {
    let selector: u16;
    unsafe { asm!("mov {0:x}, cs", out(reg) selector, options(nomem, nostack)) };
    let handler = on_breakpoint as *const () as u64;
    // An interrupt gate, present.
    let low = handler & 0xffff | u64::from(selector) << 16 | 0x8e00 << 32 | (handler >> 16 & 0xffff) << 48;
    unsafe { (&raw mut IDT[3]).write_volatile([low, handler >> 32]) };
    let address = &raw const IDT as u64;
    let register = [
        size_of::<[[u64; 2]; 4]>() as u16 - 1,
        address as u16,
        (address >> 16) as u16,
        (address >> 32) as u16,
        (address >> 48) as u16,
    ];
    unsafe { asm!("lidt [{0}]", in(reg) &register, options(nostack)) };
}

extern "C" fn guest_main() -> u32 {
    let tick = tick as *const () as u64;
    let (count, seen) = (&raw const COUNT as u64, &raw const SEEN as u64);
    let (go, own) = (&raw const GO as u64, &raw const OWN as u64);
    let has_own = rt::read::<u8>(CMDLINE) == b'B';
    if has_own {
        set_idt();
    }
    print!("tick ", tick, " count ", count, " seen ", seen, " go ", go, " own ", own, "\n");
    while rt::read::<u64>(go) == 0 {
        unsafe { asm!("call {}", in(reg) tick, out("rax") _, out("rdx") _) };
        unsafe { asm!("push 2", "popfq") };
        if has_own {
            unsafe { asm!("int3") };
        }
    }
    print!("counted\n");
    if rt::read::<u8>(CMDLINE) == b'R' {
        rt::outb(0xcf9, 6);
    }
    21
}
