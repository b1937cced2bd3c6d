//! Prints CPUID on every CPU: `cpu`, then function, index, EAX, EBX, ECX and EDX of each leaf that isn't all zeros. After the first CPU's
//! leaves, if it has VMX, it prints `msr`, number and value of each capability MSR. The command line gives the number of further CPUs.
#![no_std]
#![no_main]

mod leaves;
mod rt;

use core::arch::{global_asm, x86_64::__cpuid_count};

const CMDLINE: u64 = 0x2_0000;
const LAPIC: u64 = 0xfee0_0000;
const INIT_ALL_OTHERS: u32 = 0xc_4500;
const START_ALL_OTHERS: u32 = 0xc_4600;

/// The address at which the other CPUs start, in real mode, with everything they need in the same 64 KiB: the code, the numbers of CPUs
/// that have started and are done, and the CPUID requests, which end with function -1.
const STARTUP: u64 = 0x1_0000;
const BEGUN: u64 = 0xf00;
const DONE: u64 = 0xf02;
const REQUESTS: u64 = 0x1000;
/// The address of each CPU's results: EAX to EDX of each request.
const ANSWERS: u64 = 0x3_0000;
const ANSWERS_LEN: u64 = 0x2000;
const MOST_CPUS: u16 = 0x30;

global_asm!(
    ".section .rodata",
    ".code16",
    "other_start:",
    "mov ax, cs",
    "mov ds, ax",
    "mov ax, 1",
    "lock xadd word ptr [{begun}], ax",
    "shl ax, 9",
    "add ax, 0x3000",
    "mov es, ax",
    "xor di, di",
    "mov si, {requests}",
    "2:",
    "mov eax, dword ptr [si]",
    "mov ecx, dword ptr [si + 4]",
    "cmp eax, -1",
    "je 3f",
    "cpuid",
    "mov dword ptr es:[di], eax",
    "mov dword ptr es:[di + 4], ebx",
    "mov dword ptr es:[di + 8], ecx",
    "mov dword ptr es:[di + 12], edx",
    "add si, 8",
    "add di, 16",
    "jmp 2b",
    "3:",
    "lock inc word ptr [{done}]",
    "4:",
    "hlt",
    "jmp 4b",
    "other_end:",
    ".code64",
    ".text",
    begun = const BEGUN,
    done = const DONE,
    requests = const REQUESTS,
);

unsafe extern "C" {
    static other_start: u8;
    static other_end: u8;
}

extern "C" fn guest_main() -> u32 {
    let mut requests = 0;
    leaves::each(|function, index| {
        let at = STARTUP + REQUESTS + 8 * requests;
        rt::write(at, function);
        rt::write(at + 4, index);
        requests += 1;
    });
    rt::write(STARTUP + REQUESTS + 8 * requests, u32::MAX);

    print!("cpu\n");
    for request in 0..requests {
        let (function, index) = self::request(request);
        let leaf = __cpuid_count(function, index);
        show(function, index, [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]);
    }
    if __cpuid_count(1, 0).ecx & 1 << 5 != 0 {
        rt::catch_faults();
        for index in 0x480..=0x491 {
            match rt::rdmsr(index) {
                Ok(value) => print!("msr ", index, " ", value, "\n"),
                Err(fault) => print!("msr ", index, " ", fault.name(), "\n"),
            }
        }
    }

    let others = number();
    if others > MOST_CPUS || !start(others) {
        print!("the other CPUs don't come\n");
        return 1;
    }
    for other in 0..others {
        print!("cpu\n");
        for request in 0..requests {
            let (function, index) = self::request(request);
            let at = ANSWERS + u64::from(other) * ANSWERS_LEN + 16 * request;
            show(function, index, rt::read(at));
        }
    }
    21
}

fn request(number: u64) -> (u32, u32) {
    let at = STARTUP + REQUESTS + 8 * number;
    (rt::read(at), rt::read(at + 4))
}

fn show(function: u32, index: u32, [eax, ebx, ecx, edx]: [u32; 4]) {
    if [eax, ebx, ecx, edx] != [0; 4] {
        print!(function, " ", index, " ", eax, " ", ebx, " ", ecx, " ", edx, "\n");
    }
}

/// Starts the other CPUs, and waits until they are done.
fn start(others: u16) -> bool {
    if others == 0 {
        return true;
    }
    rt::write(STARTUP + BEGUN, 0_u16);
    rt::write(STARTUP + DONE, 0_u16);
    let (start, end) = (&raw const other_start as u64, &raw const other_end as u64);
    for offset in 0..end - start {
        rt::write(STARTUP + offset, rt::read::<u8>(start + offset));
    }
    rt::write(LAPIC + 0x300, INIT_ALL_OTHERS);
    rt::write(LAPIC + 0x300, START_ALL_OTHERS | (STARTUP >> 12) as u32);
    (0..1 << 28).any(|_| {
        core::hint::spin_loop();
        rt::read::<u16>(STARTUP + DONE) == others
    })
}

/// The decimal number at the start of the command line, 0 if there is none.
fn number() -> u16 {
    let digits = (CMDLINE..).map(rt::read::<u8>).take_while(u8::is_ascii_digit);
    digits.fold(0, |number, digit| number * 10 + u16::from(digit - b'0'))
}
