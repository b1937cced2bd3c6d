//! Sets registers of its processor and of its devices, and for each byte on the serial port checks that all of them are unchanged: it
//! prints `same`, or the names of those that have changed. Its clocks must have advanced. `q` ends it.
//!
//! A second processor checks its own registers all the time, and spins in between, without exits. With `x` as the command line, the first
//! one also sets all state that XSAVE saves, with instructions that not every KVM in software emulates.
#![no_std]
#![no_main]

mod kvm_clock;
mod rt;
mod second;
mod xstate;

use core::{
    arch::{asm, global_asm, x86_64::__cpuid_count},
    sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
};

use rt::pci;

const CMDLINE: u64 = 0x2_0000;
const DATA: u16 = 0x3f8;
const SCRATCH: u16 = 0x3ff;
const PAGES: u64 = 0x60_0000;
const PAGE: u64 = 0x1000;
const WRITTEN: u64 = 64;
/// The addresses of the first processor's saved values; the second's pages follow.
const BEFORE: u64 = 0x51_0000;
const AFTER: u64 = 0x51_1000;
const OF_SECOND: u64 = 0x2000;
const LAPIC: u64 = 0xfee0_0000;
const IOAPIC: u64 = 0xfec0_0000;

const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;
const MSRS: [(u32, u64); 13] = [
    (0x174, 0x10),
    (SYSENTER_ESP, 0xffff_8000_0000_1000),
    (SYSENTER_EIP, 0xffff_8000_0000_2000),
    (0x277, 0x0007_0406_0007_0406),
    (0x200, 0xc000_0006),
    (0x201, 0xff_f000_0800),
    (0xc000_0081, 0x0023_0010_0000_0000),
    (0xc000_0082, 0xffff_ffff_8100_0000),
    (0xc000_0084, 0x4_7700),
    (0xc000_0100, 0xffff_8880_0003_0000),
    (0xc000_0101, 0xffff_8880_0002_0000),
    (0xc000_0102, 0xffff_8880_0001_0000),
    (0xc000_0103, 0x1234),
];
/// Added to the values on the second processor, except for registers with fixed bits.
const MORE: u64 = 0x100;

/// Breakpoints. The second one, on an instruction that is never executed, is enabled.
const BREAKPOINTS: u64 = 0xffff_8000_0000_3000;
const DR6: u64 = 0xffff_0ff5;
const DR7: u64 = 0x404;

/// The names of the registers that [`see`] reads, the processor's first and then the machine's.
const NAMES: [&str; 28] = [
    "cr0", "cr2", "cr3", "cr4", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7", "lapic-spurious", "lapic-priority", "lapic-timer",
    "lapic-divider", "lapic-counts", "xcr0", "xstate", "pkru", "ioapic", "pic-mask", "second-pic-mask", "pit-status",
    "scratch", "line-control", "cmos", "pm1-enable", "pci-address", "rng",
];

/// The latest TSC that any processor has seen.
static LAST_TSC: AtomicU64 = AtomicU64::new(0);
/// The number of the second processor's checks, and the changes that it has found.
static LOOKS: AtomicU32 = AtomicU32::new(0);
static FOUND: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];

/// Waits, with a pattern in each register that can have one, and returns 0 if the patterns are unchanged.
macro_rules! with_patterns {
    ($name:literal, $($wait:literal),+) => {
        global_asm!(
            concat!($name, ":"),
            "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
            "mov rbx, 0x0101010101010101", "mov rbp, 0x0202020202020202",
            "mov rcx, 0x0303030303030303", "mov rsi, 0x0404040404040404",
            "mov rdi, 0x0505050505050505", "mov r8, 0x0606060606060606",
            "mov r9, 0x0707070707070707", "mov r10, 0x0808080808080808",
            "mov r11, 0x0909090909090909", "mov r12, 0x0a0a0a0a0a0a0a0a",
            "mov r13, 0x0b0b0b0b0b0b0b0b", "mov r14, 0x0c0c0c0c0c0c0c0c",
            "mov r15, 0x8d0d0d0d0d0d0d0d", "mov rdx, 0x03fd",
            $($wait,)+
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
    };
}

// One waits for a byte on the serial port, whose line status is in port RDX; the other for some 100,000 instructions.
with_patterns!("wait_with_patterns", "2:", "in al, dx", "test al, 1", "jz 2b");
with_patterns!("spin_with_patterns", "mov eax, 50000", "2:", "dec eax", "jnz 2b");

unsafe extern "C" {
    fn wait_with_patterns() -> u64;
    fn spin_with_patterns() -> u64;
}

/// The changes found by a processor.
struct Changes {
    registers: bool,
    xmm: bool,
    went_back: bool,
    /// A bit for each of [`MSRS`], and for each of [`NAMES`].
    msrs: u32,
    seen: u32,
}

/// The settings of a processor.
struct Processor {
    number: u64,
    msrs: u32,
    has_xmm: bool,
}

extern "C" fn guest_main() -> u32 {
    rt::catch_faults();
    let first = Processor::set(0);
    let has_clock = kvm_clock::enable();
    if rt::read::<u8>(CMDLINE) == b'x' {
        xstate::set();
    }
    for page in 0..WRITTEN {
        rt::write(PAGES + page * PAGE, page * 0x0101_0101_0101);
    }
    set_devices();
    first.see(BEFORE);
    let has_second = second::start(second_main);
    while has_second && LOOKS.load(SeqCst) == 0 {}
    print!("ready\n");
    let began = nanoseconds(has_clock);
    let mut last_time = began;
    loop {
        let patterns = unsafe { wait_with_patterns() };
        if rt::inb(DATA) == b'q' {
            return 0;
        }
        let changes = first.look(patterns, AFTER);
        let mut same = changes.print("", BEFORE);
        for page in 0..WRITTEN {
            if rt::read::<u64>(PAGES + page * PAGE) != page * 0x0101_0101_0101 {
                print!("page-", page, " ");
                same = false;
            }
        }
        let now = nanoseconds(has_clock);
        if now < last_time {
            print!("kvmclock-went-back ");
            same = false;
        }
        last_time = now;
        if has_second {
            // Wait for a check that began after this point, or for the last one.
            let looks = LOOKS.load(SeqCst);
            while LOOKS.load(SeqCst).wrapping_sub(looks) < 2 && second_changes().is_none() {}
            if let Some(changes) = second_changes() {
                same &= changes.print("second-", BEFORE + OF_SECOND);
            }
        }
        if same {
            print!("same\n");
        } else {
            print!("after-0x", (now - began) / 1_000_000_000, "-s\n");
        }
    }
}

/// The second processor.
extern "C" fn second_main() -> ! {
    rt::catch_faults();
    let second = Processor::set(1);
    second.see(BEFORE + OF_SECOND);
    loop {
        let changes = second.look(unsafe { spin_with_patterns() }, AFTER + OF_SECOND);
        let others = [changes.registers, changes.xmm, changes.went_back];
        let others = (0..).zip(others).fold(0, |bits, (bit, is_so)| bits | u32::from(is_so) << bit);
        if changes.msrs | changes.seen | others != 0 {
            for (place, bits) in FOUND.iter().zip([changes.msrs, changes.seen, others]) {
                place.store(bits, SeqCst);
            }
            loop {
                unsafe { asm!("cli", "hlt") };
            }
        }
        LOOKS.fetch_add(1, SeqCst);
    }
}

/// The changes that the second processor has found; it then ends.
fn second_changes() -> Option<Changes> {
    let [msrs, seen, others] = [&FOUND[0], &FOUND[1], &FOUND[2]].map(|place| place.load(SeqCst));
    let bit = |bit: u32| others & 1 << bit != 0;
    (msrs | seen | others != 0).then(|| Changes { registers: bit(0), xmm: bit(1), went_back: bit(2), msrs, seen })
}

impl Processor {
    /// Sets registers of the current processor.
    fn set(number: u64) -> Self {
        let mut this = Self { number, msrs: 0, has_xmm: set_xmm(number).is_ok() };
        for (place, &(index, value)) in MSRS.iter().enumerate() {
            this.msrs |= u32::from(rt::wrmsr(index, this.kept(index, value)).is_ok()) << place;
        }
        let breakpoint = BREAKPOINTS + number * MORE;
        unsafe {
            asm!("mov cr2, {}", in(reg) 0x1234_5678_9abc_u64 + number);
            asm!("mov dr0, {}", in(reg) breakpoint);
            asm!("mov dr1, {}", in(reg) breakpoint + 1);
            asm!("mov dr2, {}", in(reg) breakpoint + 2);
            asm!("mov dr3, {}", in(reg) breakpoint + 3);
            asm!("mov dr6, {}", in(reg) DR6);
            asm!("mov dr7, {}", in(reg) DR7);
        }
        // The spurious vector, which enables the local APIC; the task priority; and the timer, divided by 128 and masked. It is periodic: a
        // one-shot timer stops after 550 seconds, and a slow level 0 may need longer to restore its level 1 ten times.
        let priority = 0x50 + 0x10 * number as u32;
        for (register, value) in [(0xf0, 0x1ff), (0x80, priority), (0x320, 0x3_0051), (0x3e0, 0xa), (0x380, !0)] {
            rt::write(LAPIC + register, value);
        }
        this
    }

    /// Checks for changes since [`Processor::see`]. `after` is a page for that, the second after the one before.
    fn look(&self, patterns: u64, after: u64) -> Changes {
        let mut changes = Changes { registers: patterns != 0, xmm: false, went_back: went_back(), msrs: 0, seen: 0 };
        for (place, &(index, value)) in MSRS.iter().enumerate() {
            let is_set = self.msrs & 1 << place != 0;
            changes.msrs |= u32::from(is_set && rt::rdmsr(index).ok() != Some(self.kept(index, value))) << place;
        }
        changes.xmm = self.has_xmm && xmm() != filled(self.number);
        let before = after - PAGE;
        for place in 0..self.see(after) {
            let differ = rt::read::<u64>(before + 8 * place) != rt::read::<u64>(after + 8 * place);
            changes.seen |= u32::from(differ) << place;
        }
        changes
    }

    /// Reads registers that nothing changes, and writes their values to memory. Returns their number.
    fn see(&self, place: u64) -> u64 {
        let mut count = 0;
        let mut put = |value: u64| {
            rt::write(place + 8 * count, value);
            count += 1;
        };
        macro_rules! see {
            ($($register:literal)+) => {$(
                let value: u64;
                unsafe { asm!(concat!("mov {}, ", $register), out(reg) value) };
                put(value);
            )+};
        }
        see!("cr0" "cr2" "cr3" "cr4" "dr0" "dr1" "dr2" "dr3" "dr6" "dr7");
        let lapic = |register| u64::from(rt::read::<u32>(LAPIC + register));
        put(lapic(0xf0));
        put(lapic(0x80));
        put(lapic(0x320));
        put(lapic(0x3e0));
        put(u64::from(lapic(0x390) != 0));
        if self.number == 0 {
            xstate::see().into_iter().for_each(&mut put);
            see_devices(&mut put);
        }
        count
    }

    /// The part of an MSR's value that KVM can keep. On AMD's processors it handles only 32 bits of SYSENTER_ESP and SYSENTER_EIP (Linux,
    /// arch/x86/kvm/svm/svm.c, `svm_set_msr`): 64-bit code has no SYSENTER there.
    fn kept(&self, index: u32, value: u64) -> u64 {
        let is_amd = __cpuid_count(0, 0).ecx == u32::from_le_bytes(*b"cAMD");
        let value = if matches!(index, 0x174..=0x176 | 0xc000_0081..) { value + self.number * MORE } else { value };
        if is_amd && [SYSENTER_ESP, SYSENTER_EIP].contains(&index) { value & 0xffff_ffff } else { value }
    }
}

impl Changes {
    /// Prints their names, if there are any, and returns false then. A processor's earlier values are at `before`, and in the page after
    /// that.
    fn print(&self, whose: &str, before: u64) -> bool {
        for (is_so, name) in
            [(self.registers, "registers "), (self.xmm, "xmm15 "), (self.went_back, "tsc-went-back ")]
        {
            if is_so {
                print!(whose, name);
            }
        }
        for (place, &(index, _)) in MSRS.iter().enumerate() {
            if self.msrs & 1 << place != 0 {
                print!(whose, "msr-", index, " ");
            }
        }
        for (place, name) in NAMES.iter().enumerate() {
            if self.seen & 1 << place != 0 {
                let [then, now]: [u64; 2] =
                    [before, before + PAGE].map(|page| rt::read(page + 8 * place as u64));
                print!(whose, *name, "-is-", now, "-not-", then, " ");
            }
        }
        !self.registers && !self.xmm && !self.went_back && self.msrs | self.seen == 0
    }
}

/// Sets the machine's devices to values other than the initial ones.
fn set_devices() {
    // Redirection 10: masked, level, vector 0x60.
    set_ioapic(0x24, 0x1_a060);
    // The PICs, initialized and masked.
    for (port, value) in [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xfb)] {
        rt::outb(port, value);
    }
    for (port, value) in [(0xa0, 0x11), (0xa1, 0x28), (0xa1, 2), (0xa1, 1), (0xa1, 0xfe)] {
        rt::outb(port, value);
    }
    // The PIT's channel 2, which doesn't count while its gate is low.
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
}

/// Reads devices' registers.
fn see_devices(put: &mut impl FnMut(u64)) {
    put(ioapic(0x24).into());
    put(rt::inb(0x21).into());
    put(rt::inb(0xa1).into());
    rt::outb(0x43, 0xe8);
    // Its output and its count change as it counts down.
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

fn set_ioapic(register: u32, value: u32) {
    rt::write(IOAPIC, register);
    rt::write(IOAPIC + 0x10, value);
}

/// Returns whether the TSC is behind a value that any processor has seen before.
fn went_back() -> bool {
    let last = LAST_TSC.load(SeqCst);
    let now = kvm_clock::tsc();
    LAST_TSC.fetch_max(now, SeqCst);
    now < last
}

fn nanoseconds(has_clock: bool) -> u64 {
    if has_clock { kvm_clock::nanoseconds() } else { 0 }
}

fn filled(number: u64) -> [u64; 2] {
    [0x1111_2222_3333_4444 + number, 0x5555_6666_7777_8888]
}

/// Enables SSE, and fills a register that nothing else uses.
fn set_xmm(number: u64) -> Result<(), rt::Fault> {
    let value = filled(number);
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
