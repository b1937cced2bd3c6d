//! The notes of a core: each vCPU's registers in gdb's and in crash's form, and the guest's vmcoreinfo.

use kvm_bindings::{kvm_dtable, kvm_segment};
use zerocopy::{Immutable, IntoBytes};

use super::super::{info_registers::flags, registers::Registers};

/// `NT_PRSTATUS`.
const PRSTATUS: u32 = 1;

/// Linux' `struct elf_prstatus`, with the fields that are meaningful for a vCPU.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct PrStatus {
    signal: [u8; 32],
    pid: u32,
    ids_and_times: [u8; 76],
    general: GeneralRegisters,
    fpu_valid: [u8; 8],
}

/// Linux' `struct user_regs_struct`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct GeneralRegisters {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    rbp: u64,
    rbx: u64,
    r11: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    rax: u64,
    rcx: u64,
    rdx: u64,
    rsi: u64,
    rdi: u64,
    orig_rax: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
    fs_base: u64,
    gs_base: u64,
    ds: u64,
    es: u64,
    fs: u64,
    gs: u64,
}

/// A segment in QEMU's note.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct Segment {
    selector: u32,
    limit: u32,
    flags: u32,
    padding: u32,
    base: u64,
}

/// QEMU's own note, version 1: `QEMUCPUState`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct CpuState {
    version: u32,
    size: u32,
    /// rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8 to r15.
    general: [u64; 16],
    rip: u64,
    rflags: u64,
    /// cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt.
    segments: [Segment; 10],
    /// CR0 to CR4; CR1 does not exist.
    control: [u64; 5],
    kernel_gs_base: u64,
}

/// The notes for vCPUs by index, and for the guest's vmcoreinfo, in QEMU's order.
pub(super) fn notes(vcpus: &[Registers], vmcoreinfo: Option<&[u8]>) -> Vec<u8> {
    let mut notes = Vec::new();
    for (pid, registers) in (1..).zip(vcpus) {
        add(&mut notes, b"CORE\0", PRSTATUS, pr_status(pid, registers).as_bytes());
    }
    for registers in vcpus {
        add(&mut notes, b"QEMU\0", 0, cpu_state(registers).as_bytes());
    }
    if let Some(info) = vmcoreinfo {
        add(&mut notes, b"VMCOREINFO\0", 0, info);
    }
    notes
}

/// Appends a note: System V ABI, "Note Section".
fn add(notes: &mut Vec<u8>, name: &[u8], kind: u32, description: &[u8]) {
    let word = |len: usize| u32::try_from(len).unwrap_or_default().to_le_bytes();
    notes.extend([word(name.len()), word(description.len()), kind.to_le_bytes()].as_flattened());
    for part in [name, description] {
        notes.extend(part);
        notes.resize(notes.len().next_multiple_of(4), 0);
    }
}

fn pr_status(pid: u32, registers: &Registers) -> PrStatus {
    let (regs, sregs) = (&registers.general, &registers.system);
    PrStatus {
        signal: [0; 32],
        pid,
        ids_and_times: [0; 76],
        general: GeneralRegisters {
            r15: regs.r15,
            r14: regs.r14,
            r13: regs.r13,
            r12: regs.r12,
            rbp: regs.rbp,
            rbx: regs.rbx,
            r11: regs.r11,
            r10: regs.r10,
            r9: regs.r9,
            r8: regs.r8,
            rax: regs.rax,
            rcx: regs.rcx,
            rdx: regs.rdx,
            rsi: regs.rsi,
            rdi: regs.rdi,
            orig_rax: 0,
            rip: regs.rip,
            cs: sregs.cs.selector.into(),
            rflags: regs.rflags,
            rsp: regs.rsp,
            ss: sregs.ss.selector.into(),
            fs_base: sregs.fs.base,
            gs_base: sregs.gs.base,
            ds: sregs.ds.selector.into(),
            es: sregs.es.selector.into(),
            fs: sregs.fs.selector.into(),
            gs: sregs.gs.selector.into(),
        },
        fpu_valid: [0; 8],
    }
}

fn cpu_state(registers: &Registers) -> CpuState {
    let (regs, sregs) = (&registers.general, &registers.system);
    let segment = |segment: &kvm_segment| Segment {
        selector: segment.selector.into(),
        limit: segment.limit,
        flags: flags(segment),
        padding: 0,
        base: segment.base,
    };
    let table = |table: &kvm_dtable| Segment {
        selector: 0,
        limit: table.limit.into(),
        flags: 0,
        padding: 0,
        base: table.base,
    };
    CpuState {
        version: 1,
        size: u32::try_from(size_of::<CpuState>()).unwrap_or_default(),
        general: [
            regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rsp, regs.rbp, regs.r8, regs.r9,
            regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
        ],
        rip: regs.rip,
        rflags: regs.rflags,
        segments: [
            segment(&sregs.cs),
            segment(&sregs.ds),
            segment(&sregs.es),
            segment(&sregs.fs),
            segment(&sregs.gs),
            segment(&sregs.ss),
            segment(&sregs.ldt),
            segment(&sregs.tr),
            table(&sregs.gdt),
            table(&sregs.idt),
        ],
        control: [sregs.cr0, 0, sregs.cr2, sregs.cr3, sregs.cr4],
        kernel_gs_base: registers.kernel_gs_base(),
    }
}

#[cfg(test)]
#[path = "notes_test.rs"]
mod tests;
