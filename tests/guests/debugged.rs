//! Says where its parts are, and counts until a debugger sets `GO`. Then it ends, or with `R` on the command line resets the machine.
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
    count = sym COUNT,
    seen = sym SEEN,
);

static mut COUNT: u64 = 0;
static mut SEEN: u64 = 0;
static mut GO: u64 = 0;

unsafe extern "C" {
    fn tick();
}

extern "C" fn guest_main() -> u32 {
    let tick = tick as *const () as u64;
    let (count, seen, go) = (&raw const COUNT as u64, &raw const SEEN as u64, &raw const GO as u64);
    print!("tick ", tick, " count ", count, " seen ", seen, " go ", go, "\n");
    while rt::read::<u64>(go) == 0 {
        unsafe { asm!("call {}", in(reg) tick, out("rax") _, out("rdx") _) };
    }
    print!("counted\n");
    if rt::read::<u8>(CMDLINE) == b'R' {
        rt::outb(0xcf9, 6);
    }
    21
}
