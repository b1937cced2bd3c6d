//! `info registers`, in QEMU's layout.

use std::fmt::{self, Display, Formatter};

use kvm_bindings::{kvm_fpu, kvm_segment};

use super::registers::Registers;

/// RFLAGS in QEMU's form: a letter for each bit.
const FLAGS: [(u64, char); 7] = [
    (1 << 10, 'D'),
    (1 << 11, 'O'),
    (1 << 7, 'S'),
    (1 << 6, 'Z'),
    (1 << 4, 'A'),
    (1 << 2, 'P'),
    (1 << 0, 'C'),
];

/// Types of system descriptors: SDM 3A, "System Descriptor Types", in 32-bit mode.
const SYSTEM_TYPES_32: [&str; 16] = [
    "Reserved",
    "TSS16-avl",
    "LDT",
    "TSS16-busy",
    "CallGate16",
    "TaskGate",
    "IntGate16",
    "TrapGate16",
    "Reserved",
    "TSS32-avl",
    "Reserved",
    "TSS32-busy",
    "CallGate32",
    "Reserved",
    "IntGate32",
    "TrapGate32",
];

/// The same in IA-32e mode.
const SYSTEM_TYPES_64: [&str; 16] = [
    "<hiword>",
    "Reserved",
    "LDT",
    "Reserved",
    "Reserved",
    "Reserved",
    "Reserved",
    "Reserved",
    "Reserved",
    "TSS64-avl",
    "Reserved",
    "TSS64-busy",
    "CallGate64",
    "Reserved",
    "IntGate64",
    "TrapGate64",
];

/// A vCPU's registers, shown like QEMU's monitor does.
#[derive(Debug)]
pub(super) struct InfoRegisters<'a> {
    /// The vCPU.
    pub(super) vcpu: u32,
    /// The registers.
    pub(super) registers: &'a Registers,
}

impl Display for InfoRegisters<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let registers = self.registers;
        writeln!(f, "\nCPU#{}", self.vcpu)?;
        general(registers, f)?;
        let system = &registers.system;
        let segments = [
            ("ES", &system.es),
            ("CS", &system.cs),
            ("SS", &system.ss),
            ("DS", &system.ds),
            ("FS", &system.fs),
            ("GS", &system.gs),
            ("LDT", &system.ldt),
            ("TR", &system.tr),
        ];
        segments.into_iter().try_for_each(|(name, it)| segment(name, it, registers, f))?;
        control(registers, f)?;
        fpu(&registers.fpu, registers.is_64_bit(), f)
    }
}

fn general(registers: &Registers, f: &mut Formatter<'_>) -> fmt::Result {
    let regs = &registers.general;
    let eight = [
        ("AX", regs.rax),
        ("BX", regs.rbx),
        ("CX", regs.rcx),
        ("DX", regs.rdx),
        ("SI", regs.rsi),
        ("DI", regs.rdi),
        ("BP", regs.rbp),
        ("SP", regs.rsp),
    ];
    let others = [
        ("8 ", regs.r8),
        ("9 ", regs.r9),
        ("10", regs.r10),
        ("11", regs.r11),
        ("12", regs.r12),
        ("13", regs.r13),
        ("14", regs.r14),
        ("15", regs.r15),
    ];
    let end = |place: usize| if place % 4 == 3 { '\n' } else { ' ' };
    let flags = FLAGS.map(|(bit, letter)| if regs.rflags & bit == 0 { '-' } else { letter });
    let flags: String = flags.iter().collect();
    if registers.is_64_bit() {
        for (place, (name, value)) in eight.into_iter().chain(others).enumerate() {
            write!(f, "R{name}={value:016x}{}", end(place))?;
        }
        write!(f, "RIP={:016x} RFL={:08x} [{flags}]", regs.rip, regs.rflags)?;
    } else {
        for (place, (name, value)) in eight.into_iter().enumerate() {
            write!(f, "E{name}={:08x}{}", low(value), end(place))?;
        }
        write!(f, "EIP={:08x} EFL={:08x} [{flags}]", low(regs.rip), low(regs.rflags))?;
    }
    let events = &registers.events;
    let [shadow, smm, halted] =
        [events.interrupt.shadow != 0, events.smi.smm != 0, registers.is_halted()].map(u8::from);
    // KVM has no A20 gate.
    writeln!(f, " CPL={} II={shadow} A20=1 SMM={smm} HLT={halted}", registers.system.ss.dpl)
}

fn segment(name: &str, segment: &kvm_segment, registers: &Registers, f: &mut Formatter<'_>) -> fmt::Result {
    let (selector, base, limit, flags) = (segment.selector, segment.base, segment.limit, flags(segment));
    if registers.is_64_bit() {
        write!(f, "{name:<3}={selector:04x} {base:016x} {limit:08x} {flags:08x}")?;
    } else {
        write!(f, "{name:<3}={selector:04x} {:08x} {limit:08x} {flags:08x}", low(base))?;
    }
    if registers.is_protected_mode() && flags & PRESENT != 0 {
        write!(f, " DPL={} ", segment.dpl)?;
        if segment.s == 0 {
            let types = if registers.is_long_mode() { SYSTEM_TYPES_64 } else { SYSTEM_TYPES_32 };
            write!(f, "{}", types[usize::from(segment.type_ & 0xf)])?;
        } else {
            write!(f, "{}", memory_type(segment, registers.is_long_mode()))?;
        }
    }
    writeln!(f)
}

/// The present bit among a descriptor's flags.
const PRESENT: u32 = 1 << 15;

/// Bits 55:40 of a segment's descriptor, at the place of bits 23:8 of its second half: SDM 3A, "Segment Descriptors".
pub(super) fn flags(segment: &kvm_segment) -> u32 {
    let bits = [
        (segment.type_, 8),
        (segment.s, 12),
        (segment.dpl, 13),
        (u8::from(segment.present != 0 && segment.unusable == 0), 15),
        (segment.avl, 20),
        (segment.l, 21),
        (segment.db, 22),
        (segment.g, 23),
    ];
    bits.into_iter().fold(0, |flags, (bits, place)| flags | u32::from(bits) << place) & 0x00ff_ff00
}

/// The kind of a code or data segment, and the bits of its type: conforming or expand-down, readable or writable, accessed.
fn memory_type(segment: &kvm_segment, long_mode: bool) -> String {
    let bit = |place: u8, letter: char| if segment.type_ >> place & 1 == 0 { '-' } else { letter };
    if segment.type_ & 8 != 0 {
        let kind = match (segment.l, segment.db) {
            (0, 0) => "CS16",
            (0, _) => "CS32",
            _ => "CS64",
        };
        format!("{kind} [{}{}{}]", bit(2, 'C'), bit(1, 'R'), bit(0, 'A'))
    } else {
        let kind = if segment.db != 0 || long_mode { "DS  " } else { "DS16" };
        format!("{kind} [{}{}{}]", bit(2, 'E'), bit(1, 'W'), bit(0, 'A'))
    }
}

fn control(registers: &Registers, f: &mut Formatter<'_>) -> fmt::Result {
    let (system, debug) = (&registers.system, &registers.debug);
    let width = if registers.is_long_mode() { 16 } else { 8 };
    let address = |value: u64| format!("{:0width$x}", if width == 8 { u64::from(low(value)) } else { value });
    for (name, table) in [("GDT", &system.gdt), ("IDT", &system.idt)] {
        writeln!(f, "{name}=     {} {:08x}", address(table.base), table.limit)?;
    }
    writeln!(
        f,
        "CR0={:08x} CR2={} CR3={} CR4={:08x}",
        low(system.cr0),
        address(system.cr2),
        address(system.cr3),
        low(system.cr4)
    )?;
    (0..).zip(debug.db).try_for_each(|(number, value)| write!(f, "DR{number}={value:016x} "))?;
    writeln!(f, "\nDR6={:016x} DR7={:016x}", debug.dr6, debug.dr7)?;
    writeln!(f, "EFER={:016x}", system.efer)
}

fn fpu(fpu: &kvm_fpu, is_64_bit: bool, f: &mut Formatter<'_>) -> fmt::Result {
    let top = fpu.fsw >> 11 & 7;
    writeln!(
        f,
        "FCW={:04x} FSW={:04x} [ST={top}] FTW={:02x} MXCSR={:08x}",
        fpu.fcw, fpu.fsw, fpu.ftwx, fpu.mxcsr
    )?;
    let end = |place: usize| if place % 2 == 1 { '\n' } else { ' ' };
    for (place, bytes) in fpu.fpr.iter().enumerate() {
        let value = u128::from_le_bytes(*bytes);
        write!(
            f,
            "FPR{place}={:016x} {:04x}{}",
            value & u128::from(u64::MAX),
            value >> 64 & 0xffff,
            end(place)
        )?;
    }
    for (place, bytes) in fpu.xmm.iter().enumerate().take(if is_64_bit { 16 } else { 8 }) {
        let value = u128::from_le_bytes(*bytes);
        write!(f, "XMM{place:02}={:016x} {:016x}{}", value >> 64, value & u128::from(u64::MAX), end(place))?;
    }
    Ok(())
}

/// The lower half of a register.
fn low(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
#[path = "info_registers_test.rs"]
mod tests;
