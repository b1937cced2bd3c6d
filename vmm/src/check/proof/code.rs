//! The code of the tiny guest that enters VMX or SVM operation, with its tables.
#![expect(unsafe_code, reason = "assembles the guest's code into this program")]

use std::{arch::global_asm, slice};

use arch::{cpu::nesting::Virtualization, memory::GuestRam};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

/// Bytes of guest memory that it needs.
pub(super) const MEMORY: usize = 2 << 20;
/// The port to which it writes when it is done.
pub(super) const DONE: u16 = 0xf4;

/// The address of its code.
const CODE: u64 = 0x10_0000;
/// The interrupt descriptor table.
const IDT: u64 = 0x10_1000;
/// The address of its outcome: see [`Outcome`].
const OUTCOME: u64 = 0x10_2000;
/// The VMXON region or the VMCB.
const REGION: u64 = 0x10_3000;
/// The address where SVM saves the host's state.
const HOST_SAVE: u64 = 0x10_4000;
/// The guest's guest: one HLT.
const INNER: u64 = 0x10_5000;

/// The pseudo-descriptor for LIDT, behind the outcome.
const IDTR: u64 = OUTCOME + 32;
/// `__BOOT_CS`, the code selector in the tables at entry.
const CODE_SELECTOR: u16 = 0x10;
/// The number of the processor's exceptions.
const VECTORS: u64 = 32;
/// Bytes of code for each exception's entry.
const STUB: u64 = 8;

/// The guest's progress, which it records before each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The step that it had reached: 1, 2, 3, or 4 after the last one.
    pub(super) step: u64,
    /// The exception that ended it.
    pub(super) vector: Option<u8>,
    /// The VMCB's exit code.
    pub(super) exit_code: u64,
}

// Each exception's entry puts its vector into AL. The outcome is at RBX: step, vector + 1, exit code, operand of VMXON.
global_asm!(
    ".pushsection .rodata.nvmm_proof, \"a\"",
    ".balign 8",
    "nvmm_proof_code:",
    ".set nvmm_proof_vector, 0",
    ".rept 32",
    ".byte 0xb0, nvmm_proof_vector", // mov al, vector
    "jmp 7f",
    ".balign 8",
    ".set nvmm_proof_vector, nvmm_proof_vector + 1",
    ".endr",
    "7:",
    "movzx eax, al",
    "inc eax",
    "mov [rbx + 8], rax",
    "jmp 9f",
    "nvmm_proof_vmx:",
    "mov ebx, {outcome}",
    "lidt [rbx + 32]",
    "mov qword ptr [rbx], 1", // CR4.VMXE, and CR0.NE, which VMX operation demands
    "mov rax, cr4",
    "or rax, 0x2000",
    "mov cr4, rax",
    "mov rax, cr0",
    "or rax, 0x20",
    "mov cr0, rax",
    "mov qword ptr [rbx], 2", // IA32_VMX_BASIC[30:0] is the revision that the region begins with
    "mov edi, {region}",
    "mov ecx, 0x480",
    "rdmsr",
    "and eax, 0x7fffffff",
    "mov [rdi], eax",
    "mov [rbx + 24], rdi",
    "mov qword ptr [rbx], 3",
    "vmxon [rbx + 24]",
    "jbe 9f", // CF or ZF: VMfail
    "vmxoff",
    "mov qword ptr [rbx], 4",
    "jmp 9f",
    "nvmm_proof_svm:",
    "mov ebx, {outcome}",
    "lidt [rbx + 32]",
    "mov qword ptr [rbx], 1", // EFER.SVME
    "mov ecx, 0xc0000080",
    "rdmsr",
    "or eax, 0x1000",
    "wrmsr",
    "mov qword ptr [rbx], 2", // VM_HSAVE_PA
    "mov ecx, 0xc0010117",
    "mov eax, {host_save}",
    "xor edx, edx",
    "wrmsr",
    "mov qword ptr [rbx], 3",
    "mov eax, {region}",
    "mov edi, {region}",
    "vmrun rax",
    "mov rax, [rdi + 0x70]", // EXITCODE
    "mov [rbx + 16], rax",
    "mov qword ptr [rbx], 4",
    "9:",
    "out {done}, al",
    "8: hlt",
    "jmp 8b",
    "nvmm_proof_end:",
    ".popsection",
    outcome = const OUTCOME,
    region = const REGION,
    host_save = const HOST_SAVE,
    done = const DONE,
);

unsafe extern "C" {
    safe static nvmm_proof_code: u8;
    safe static nvmm_proof_vmx: u8;
    safe static nvmm_proof_svm: u8;
    safe static nvmm_proof_end: u8;
}

/// Writes everything that the guest needs. Returns the address of its first instruction.
pub(super) fn write(memory: &GuestRam, kind: Virtualization) -> Result<u64, GuestMemoryError> {
    let start = &raw const nvmm_proof_code;
    let len = (&raw const nvmm_proof_end).addr() - start.addr();
    // SAFETY: the bytes between the two labels are this program's own, and never written.
    let code = unsafe { slice::from_raw_parts(start, len) };
    memory.write_slice(code, GuestAddress(CODE))?;
    for vector in 0..VECTORS {
        memory.write_obj(gate(CODE + vector * STUB), GuestAddress(IDT + vector * 16))?;
    }
    let limit = u16::try_from(VECTORS * 16 - 1).unwrap_or(u16::MAX);
    memory.write_obj(limit, GuestAddress(IDTR))?;
    memory.write_obj(IDT, GuestAddress(IDTR + 2))?;
    if kind == Virtualization::Svm {
        write_vmcb(memory)?;
    }
    let entry = match kind {
        Virtualization::Vmx => &raw const nvmm_proof_vmx,
        Virtualization::Svm => &raw const nvmm_proof_svm,
    };
    Ok(CODE + u64::try_from(entry.addr() - start.addr()).unwrap_or_default())
}

/// Reads the outcome that the guest left.
pub(super) fn outcome(memory: &GuestRam) -> Result<Outcome, GuestMemoryError> {
    let read = |offset| memory.read_obj::<u64>(GuestAddress(OUTCOME + offset));
    let vector = read(8)?.checked_sub(1).and_then(|vector| u8::try_from(vector).ok());
    Ok(Outcome { step: read(0)?, vector, exit_code: read(16)? })
}

/// A 64-bit interrupt gate: SDM 3A, "64-Bit Mode IDT".
fn gate(handler: u64) -> u128 {
    const PRESENT_INTERRUPT_GATE: u128 = 0x8e << 40;
    let handler = u128::from(handler);
    (handler & 0xffff)
        | u128::from(CODE_SELECTOR) << 16
        | PRESENT_INTERRUPT_GATE
        | ((handler >> 16 & 0xffff) << 48)
        | ((handler >> 32) << 64)
}

/// A guest in real mode whose one instruction, HLT, is intercepted: APM 2, "VMCB Layout".
fn write_vmcb(memory: &GuestRam) -> Result<(), GuestMemoryError> {
    const INTERCEPT_HLT_SHUTDOWN: u32 = 1 << 24 | 1 << 31;
    const INTERCEPT_VMRUN: u32 = 1 << 0;
    const SAVE: u64 = 0x400;
    const HLT: u8 = 0xf4;
    memory.write_obj(HLT, GuestAddress(INNER))?;
    for (offset, value) in [(0x00c, INTERCEPT_HLT_SHUTDOWN), (0x010, INTERCEPT_VMRUN), (0x058, 1 /* ASID */)]
    {
        memory.write_obj(value, GuestAddress(REGION + offset))?;
    }
    // ES, CS, SS, DS: selector, attributes, limit, base.
    for (offset, attributes, base) in [(0x00, 0x93, 0), (0x10, 0x9b, INNER), (0x20, 0x93, 0), (0x30, 0x93, 0)]
    {
        let segment = 0xffff_u64 << 32 | attributes << 16;
        memory.write_obj(segment, GuestAddress(REGION + SAVE + offset))?;
        memory.write_obj(base, GuestAddress(REGION + SAVE + offset + 8))?;
    }
    let registers: [(u64, u64); 6] = [
        (0x0d0, 1 << 12),     // EFER.SVME, without which VMRUN refuses
        (0x158, 1 << 4),      // CR0.ET
        (0x160, 0x400),       // DR7
        (0x168, 0xffff_0ff0), // DR6
        (0x170, 1 << 1),      // RFLAGS
        (0x178, 0),           // RIP
    ];
    for (offset, value) in registers {
        memory.write_obj(value, GuestAddress(REGION + SAVE + offset))?;
    }
    Ok(())
}
