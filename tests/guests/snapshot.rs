//! Sets registers of its processor and of its devices, and looks for each byte that comes by the serial port whether all of them are as they were:
//! `same`, or the names of those that are not. Its clocks must have gone on. `q` ends it.
#![no_std]
#![no_main]

mod rt;

use core::arch::{asm, global_asm, x86_64::__cpuid_count};

use rt::pci;

const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;
const SCRATCH: u16 = 0x3ff;
const PAGES: u64 = 0x60_0000;
const PAGE: u64 = 0x1000;
const WRITTEN: u64 = 64;
/// The addresses of what was seen.
const BEFORE: u64 = 0x51_0000;
const AFTER: u64 = 0x51_1000;
const LAPIC: u64 = 0xfee0_0000;
const IOAPIC: u64 = 0xfec0_0000;

const SYSTEM_TIME: u32 = 0x4b56_4d01;
/// The address of KVM's `pvclock_vcpu_time_info`.
const INFO: u64 = 0x50_0000;

const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;
const MSRS: [(u32, u64); 11] = [
    (0x174, 0x10),
    (SYSENTER_ESP, 0xffff_8000_0000_1000),
    (SYSENTER_EIP, 0xffff_8000_0000_2000),
    (0x277, 0x0007_0406_0007_0406),
    (0x200, 0xc000_0006),
    (0x201, 0xff_f000_0800),
    (0xc000_0081, 0x0023_0010_0000_0000),
    (0xc000_0082, 0xffff_ffff_8100_0000),
    (0xc000_0084, 0x4_7700),
    (0xc000_0102, 0xffff_8880_0001_0000),
    (0xc000_0103, 0x1234),
];

/// The registers that [`see`] looks at.
const NAMES: [&str; 19] = [
    "cr2", "cr3", "cr4", "dr1", "lapic-spurious", "lapic-priority", "lapic-timer", "lapic-divider", "lapic-counts",
    "ioapic", "pic-mask", "second-pic-mask", "pit-status", "scratch", "line-control", "cmos", "pm1-enable",
    "pci-address", "rng",
];

global_asm!(
    // Waits for a byte at the serial port with a pattern in each register that can have one. Returns 0 if they still have it.
    "wait_with_patterns:",
    "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
    "mov rbx, 0x0101010101010101", "mov rbp, 0x0202020202020202",
    "mov rcx, 0x0303030303030303", "mov rsi, 0x0404040404040404",
    "mov rdi, 0x0505050505050505", "mov r8, 0x0606060606060606",
    "mov r9, 0x0707070707070707", "mov r10, 0x0808080808080808",
    "mov r11, 0x0909090909090909", "mov r12, 0x0a0a0a0a0a0a0a0a",
    "mov r13, 0x0b0b0b0b0b0b0b0b", "mov r14, 0x0c0c0c0c0c0c0c0c",
    "mov r15, 0x8d0d0d0d0d0d0d0d", "mov rdx, 0x03fd",
    "2:",
    "in al, dx", "test al, 1", "jz 2b",
    "mov rax, 0x0101010101010101", "xor rbx, rax", "mov rax, 0x0202020202020202", "xor rbp, rax",
    "mov rax, 0x0303030303030303", "xor rcx, rax", "mov rax, 0x0404040404040404", "xor rsi, rax",
    "mov rax, 0x0505050505050505", "xor rdi, rax", "mov rax, 0x0606060606060606", "xor r8, rax",
    "mov rax, 0x0707070707070707", "xor r9, rax", "mov rax, 0x0808080808080808", "xor r10, rax",
    "mov rax, 0x0909090909090909", "xor r11, rax", "mov rax, 0x0a0a0a0a0a0a0a0a", "xor r12, rax",
    "mov rax, 0x0b0b0b0b0b0b0b0b", "xor r13, rax", "mov rax, 0x0c0c0c0c0c0c0c0c", "xor r14, rax",
    "mov rax, 0x8d0d0d0d0d0d0d0d", "xor r15, rax", "xor rdx, 0x03fd",
    "mov rax, rbx",
    "or rax, rbp", "or rax, rcx", "or rax, rsi", "or rax, rdi", "or rax, r8", "or rax, r9", "or rax, r10",
    "or rax, r11", "or rax, r12", "or rax, r13", "or rax, r14", "or rax, r15", "or rax, rdx",
    "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
    "ret",
);

unsafe extern "C" {
    fn wait_with_patterns() -> u64;
}

extern "C" fn guest_main() -> u32 {
    rt::catch_faults();
    let mut has_msr = 0_u32;
    for (number, &(index, value)) in MSRS.iter().enumerate() {
        has_msr |= u32::from(rt::wrmsr(index, kept(index, value)).is_ok()) << number;
    }
    let has_clock = rt::wrmsr(SYSTEM_TIME, INFO | 1).is_ok();
    let has_xmm = set_xmm().is_ok();
    unsafe { asm!("mov cr2, {}", in(reg) 0x1234_5678_9abc_u64) };
    unsafe { asm!("mov dr1, {}", in(reg) 0xffff_8000_0000_3000_u64) };
    for page in 0..WRITTEN {
        rt::write(PAGES + page * PAGE, page * 0x0101_0101_0101);
    }
    // The timer, which counts down by 128, masked; the task priority; and the spurious vector, which switches it on.
    for (register, value) in [(0xf0, 0x1ff_u32), (0x80, 0x50), (0x320, 0x1_0051), (0x3e0, 0xa), (0x380, !0)] {
        rt::write(LAPIC + register, value);
    }
    // Redirection 10: masked, level, vector 0x60.
    set_ioapic(0x24, 0x1_a060);
    // The PICs, initialized and with masks.
    for (port, value) in [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xfb)] {
        rt::outb(port, value);
    }
    for (port, value) in [(0xa0, 0x11), (0xa1, 0x28), (0xa1, 2), (0xa1, 1), (0xa1, 0xfe)] {
        rt::outb(port, value);
    }
    // The PIT's channel 2, which stands still while its gate is low.
    rt::outb(0x61, rt::inb(0x61) & 0xfc);
    rt::outb(0x43, 0xb0);
    rt::outb(0x42, 0x34);
    rt::outb(0x42, 0x12);
    rt::outb(SCRATCH, 0x5a);
    // CMOS's memory, and its index.
    rt::outb(0x70, 0x40);
    rt::outb(0x71, 0xa5);
    rt::outw(0x602, 0x120);
    rt::outl(0xcf8, 0x8000_0804);
    see(BEFORE);
    print!("ready\n");
    let (mut last_tsc, mut last_time) = (tsc(), nanoseconds(has_clock));
    loop {
        let patterns = unsafe { wait_with_patterns() };
        if rt::inb(DATA) == b'q' {
            return 0;
        }
        let mut same = patterns == 0;
        if !same {
            print!("registers ");
        }
        for (number, &(index, value)) in MSRS.iter().enumerate() {
            if has_msr & 1 << number != 0 && rt::rdmsr(index).ok() != Some(kept(index, value)) {
                print!("msr-", index, " ");
                same = false;
            }
        }
        if has_xmm && xmm() != [0x1111_2222_3333_4444, 0x5555_6666_7777_8888] {
            print!("xmm15 ");
            same = false;
        }
        see(AFTER);
        for (place, name) in (0..).step_by(8).zip(&NAMES) {
            let (before, after): (u64, u64) = (rt::read(BEFORE + place), rt::read(AFTER + place));
            if before != after {
                print!(*name, "-is-", after, "-not-", before, " ");
                same = false;
            }
        }
        for page in 0..WRITTEN {
            if rt::read::<u64>(PAGES + page * PAGE) != page * 0x0101_0101_0101 {
                print!("page-", page, " ");
                same = false;
            }
        }
        let (now_tsc, now_time) = (tsc(), nanoseconds(has_clock));
        if now_tsc < last_tsc {
            print!("tsc-went-back ");
            same = false;
        }
        if now_time < last_time {
            print!("kvmclock-went-back ");
            same = false;
        }
        (last_tsc, last_time) = (now_tsc, now_time);
        print!(if same { "same\n" } else { "\n" });
    }
}

/// Looks at registers that nothing changes, and writes what they have to memory.
fn see(mut place: u64) {
    let mut put = |value: u64| {
        rt::write(place, value);
        place += 8;
    };
    let (cr2, cr3, cr4, dr1): (u64, u64, u64, u64);
    unsafe { asm!("mov {}, cr2", out(reg) cr2) };
    unsafe { asm!("mov {}, cr3", out(reg) cr3) };
    unsafe { asm!("mov {}, cr4", out(reg) cr4) };
    unsafe { asm!("mov {}, dr1", out(reg) dr1) };
    put(cr2);
    put(cr3);
    put(cr4);
    put(dr1);
    let lapic = |register| u64::from(rt::read::<u32>(LAPIC + register));
    put(lapic(0xf0));
    put(lapic(0x80));
    put(lapic(0x320));
    put(lapic(0x3e0));
    put(u64::from(lapic(0x390) != 0));
    put(ioapic(0x24).into());
    put(rt::inb(0x21).into());
    put(rt::inb(0xa1).into());
    rt::outb(0x43, 0xe8);
    // Its output and its count change when it counts down.
    put((rt::inb(0x42) & 0x3f).into());
    put(rt::inb(SCRATCH).into());
    put(rt::inb(0x3fb).into());
    put(rt::inb(0x71).into());
    put(rt::inw(0x602).into());
    put(rt::inl(0xcf8).into());
    put(rt::read::<u32>(pci::config(1, 0)).into());
}

fn ioapic(register: u32) -> u32 {
    rt::write(IOAPIC, register);
    rt::read(IOAPIC + 0x10)
}

/// The part of an MSR's value that KVM can keep. On AMD's processors it gives and takes 32 bits of SYSENTER_ESP and SYSENTER_EIP (Linux,
/// arch/x86/kvm/svm/svm.c, `svm_set_msr`): 64-bit code has no SYSENTER there.
fn kept(index: u32, value: u64) -> u64 {
    let is_amd = __cpuid_count(0, 0).ecx == u32::from_le_bytes(*b"cAMD");
    if is_amd && [SYSENTER_ESP, SYSENTER_EIP].contains(&index) { value & 0xffff_ffff } else { value }
}

fn set_ioapic(register: u32, value: u32) {
    rt::write(IOAPIC, register);
    rt::write(IOAPIC + 0x10, value);
}

fn tsc() -> u64 {
    let (low, high): (u32, u32);
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// KVM's documentation, "MSR_KVM_SYSTEM_TIME_NEW".
fn nanoseconds(has_clock: bool) -> u64 {
    while has_clock {
        let version: u32 = rt::read(INFO);
        let ticks = tsc() - rt::read::<u64>(INFO + 8);
        let shift: i8 = rt::read(INFO + 28);
        let ticks = if shift < 0 { ticks >> -shift } else { ticks << shift };
        let passed = (u128::from(ticks) * u128::from(rt::read::<u32>(INFO + 24))) >> 32;
        let time = rt::read::<u64>(INFO + 16) + passed as u64;
        if version & 1 == 0 && version == rt::read(INFO) {
            return time;
        }
    }
    0
}

/// Switches SSE on, and fills a register that nothing else uses.
fn set_xmm() -> Result<(), rt::Fault> {
    let value = [0x1111_2222_3333_4444_u64, 0x5555_6666_7777_8888];
    unsafe {
        asm!("mov {0}, cr4", "or {0}, 0x600", "mov cr4, {0}", out(reg) _);
        asm!("mov {0}, cr0", "and {0}, -13", "or {0}, 2", "mov cr0, {0}", out(reg) _);
        attempt!("movdqu xmm15, [rdi]"; in("rdi") &value)
    }
}

fn xmm() -> [u64; 2] {
    let mut value = [0_u64; 2];
    unsafe { asm!("movdqu [{}], xmm15", in(reg) &mut value) };
    value
}
