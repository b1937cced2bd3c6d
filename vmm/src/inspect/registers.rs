//! The registers of a stopped vCPU, and its pending events.

use std::collections::BTreeMap;

use arch::{memory::GuestRam, paging::Paging};
use kvm_bindings::{
    KVM_MP_STATE_AP_RESET_HOLD, KVM_MP_STATE_HALTED, KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_SIPI_RECEIVED, KVM_MP_STATE_UNINITIALIZED, kvm_debugregs, kvm_fpu, kvm_regs, kvm_segment,
    kvm_sregs, kvm_vcpu_events,
};
use kvm_ioctls::VcpuFd;
use serde_json::{Map, Value, json};

use super::{
    address_space::{self, AddressSpace},
    code::{code_at, instruction_address},
    hex::text,
    msrs::{self, KERNEL_GS_BASE},
    nested::Nested,
};
use crate::vm::{KvmError, kvm};

/// EFER.LMA: the vCPU is in IA-32e mode.
const EFER_LMA: u64 = 1 << 10;
/// CR0.PE: the vCPU is in protected mode.
const CR0_PE: u64 = 1;

/// The state of a vCPU in KVM, except for its local APIC.
///
/// If the vCPU runs a nested guest, these are the nested guest's registers.
#[derive(Debug)]
pub(crate) struct Registers {
    /// General registers.
    pub(super) general: kvm_regs,
    /// Segment and control registers, and EFER.
    pub(super) system: kvm_sregs,
    /// The paging of its linear addresses; to a nested guest's physical addresses if it runs one.
    pub(super) paging: Paging,
    /// DR0 to DR3, DR6 and DR7.
    pub(super) debug: kvm_debugregs,
    /// x87 and SSE registers.
    pub(super) fpu: kvm_fpu,
    /// XCR0, if the vCPU has XSAVE.
    xcr0: Option<u64>,
    /// The MSRs by index.
    msrs: BTreeMap<u32, u64>,
    /// The multiprocessing state: running, halted, or waiting for INIT or SIPI.
    mp_state: u32,
    /// Pending exceptions and interrupts.
    pub(super) events: kvm_vcpu_events,
    /// None without nested virtualization.
    nested: Option<Nested>,
    /// The bytes at RIP.
    code: Vec<u8>,
}

impl Registers {
    /// Reads the registers of a vCPU.
    ///
    /// # Errors
    ///
    /// KVM refuses.
    pub(crate) fn read(fd: &VcpuFd, memory: &GuestRam) -> Result<Self, KvmError> {
        let general = fd.get_regs().map_err(kvm("KVM_GET_REGS"))?;
        let system = fd.get_sregs().map_err(kvm("KVM_GET_SREGS"))?;
        let (paging, nested) = (address_space::paging(fd, &system), Nested::read(fd));
        let in_nested_guest = nested.as_ref().is_some_and(Nested::is_in_guest);
        let space = AddressSpace::new(fd, memory, paging, in_nested_guest);
        // KVM_GET_XCRS fails without XSAVE. Otherwise XCR0 is the first and only one.
        let xcrs = fd.get_xcrs().ok();
        let xcr0 = xcrs.filter(|xcrs| xcrs.nr_xcrs > 0).map(|xcrs| xcrs.xcrs[0].value);
        Ok(Self {
            general,
            system,
            paging,
            debug: fd.get_debug_regs().map_err(kvm("KVM_GET_DEBUGREGS"))?,
            fpu: fd.get_fpu().map_err(kvm("KVM_GET_FPU"))?,
            xcr0,
            msrs: msrs::read(fd)?,
            mp_state: fd.get_mp_state().map_err(kvm("KVM_GET_MP_STATE"))?.mp_state,
            events: fd.get_vcpu_events().map_err(kvm("KVM_GET_VCPU_EVENTS"))?,
            nested,
            code: code_at(instruction_address(&general, &system), &space, memory, None),
        })
    }

    /// IA32_KERNEL_GS_BASE.
    pub(super) fn kernel_gs_base(&self) -> u64 {
        self.msrs.get(&KERNEL_GS_BASE).copied().unwrap_or_default()
    }

    /// Returns whether the vCPU is in IA-32e mode.
    pub(super) fn is_long_mode(&self) -> bool {
        self.system.efer & EFER_LMA != 0
    }

    /// Returns whether it runs 64-bit code.
    pub(super) fn is_64_bit(&self) -> bool {
        self.is_long_mode() && self.system.cs.l != 0
    }

    /// Returns whether it is in protected mode.
    pub(super) fn is_protected_mode(&self) -> bool {
        self.system.cr0 & CR0_PE != 0
    }

    /// Returns whether these are a nested guest's registers.
    pub(super) fn is_in_nested_guest(&self) -> bool {
        self.nested.as_ref().is_some_and(Nested::is_in_guest)
    }

    /// Returns whether it waits for an interrupt after HLT.
    pub(super) fn is_halted(&self) -> bool {
        self.mp_state == KVM_MP_STATE_HALTED
    }

    /// Returns the registers in the form of `nvmm-registers`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "state": state(self.mp_state),
            "general": general(&self.general),
            "segments": segments(&self.system),
            "control": {
                "cr0": text(self.system.cr0), "cr2": text(self.system.cr2), "cr3": text(self.system.cr3),
                "cr4": text(self.system.cr4), "cr8": text(self.system.cr8),
                "efer": text(self.system.efer), "xcr0": self.xcr0.map(text),
            },
            "debug": {
                "dr0": text(self.debug.db[0]), "dr1": text(self.debug.db[1]), "dr2": text(self.debug.db[2]),
                "dr3": text(self.debug.db[3]), "dr6": text(self.debug.dr6), "dr7": text(self.debug.dr7),
            },
            "msrs": self.msrs.iter().filter_map(|(&index, &value)| {
                Some((msrs::name(index)?.to_owned(), text(value).into()))
            }).collect::<Map<_, _>>(),
            "events": events(&self.events),
            "nested": self.nested,
            "code": self.code.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
        })
    }
}

#[cfg(test)]
impl Registers {
    /// The registers of a vCPU without any others.
    pub(super) fn of(general: kvm_regs, system: kvm_sregs) -> Self {
        Self {
            general,
            system,
            paging: Paging::of(&system),
            debug: kvm_debugregs { dr6: 0xffff_0ff0, dr7: 0x400, ..Default::default() },
            fpu: kvm_fpu { fcw: 0x37f, mxcsr: 0x1f80, ..Default::default() },
            xcr0: None,
            msrs: BTreeMap::from([(KERNEL_GS_BASE, 0xffff_8880_0000_0000)]),
            mp_state: KVM_MP_STATE_RUNNABLE,
            events: kvm_vcpu_events::default(),
            nested: None,
            code: Vec::new(),
        }
    }

    /// The same, in a nested guest.
    pub(super) fn in_nested_guest(self) -> Self {
        Self { nested: Some(Nested::in_guest()), ..self }
    }

    /// The same, halted.
    pub(super) fn halted(self) -> Self {
        Self { mp_state: KVM_MP_STATE_HALTED, ..self }
    }
}

/// The name of a multiprocessor state: Linux, "KVM API", "KVM_GET_MP_STATE".
fn state(mp_state: u32) -> &'static str {
    match mp_state {
        KVM_MP_STATE_RUNNABLE => "running",
        KVM_MP_STATE_UNINITIALIZED => "uninitialized",
        KVM_MP_STATE_INIT_RECEIVED => "init-received",
        KVM_MP_STATE_HALTED => "halted",
        KVM_MP_STATE_SIPI_RECEIVED => "sipi-received",
        KVM_MP_STATE_AP_RESET_HOLD => "ap-reset-hold",
        _ => "unknown",
    }
}

fn general(regs: &kvm_regs) -> Value {
    json!({
        "rax": text(regs.rax), "rbx": text(regs.rbx), "rcx": text(regs.rcx), "rdx": text(regs.rdx),
        "rsi": text(regs.rsi), "rdi": text(regs.rdi), "rsp": text(regs.rsp), "rbp": text(regs.rbp),
        "r8": text(regs.r8), "r9": text(regs.r9), "r10": text(regs.r10), "r11": text(regs.r11),
        "r12": text(regs.r12), "r13": text(regs.r13), "r14": text(regs.r14), "r15": text(regs.r15),
        "rip": text(regs.rip), "rflags": text(regs.rflags),
    })
}

fn segments(sregs: &kvm_sregs) -> Value {
    let table = |base, limit: u16| json!({ "base": text(base), "limit": limit });
    json!({
        "cs": segment(&sregs.cs), "ds": segment(&sregs.ds), "es": segment(&sregs.es),
        "fs": segment(&sregs.fs), "gs": segment(&sregs.gs), "ss": segment(&sregs.ss),
        "tr": segment(&sregs.tr), "ldt": segment(&sregs.ldt),
        "gdt": table(sregs.gdt.base, sregs.gdt.limit), "idt": table(sregs.idt.base, sregs.idt.limit),
    })
}

fn segment(segment: &kvm_segment) -> Value {
    json!({
        "selector": text(segment.selector), "base": text(segment.base), "limit": text(segment.limit),
        "type": segment.type_, "s": segment.s != 0, "dpl": segment.dpl, "present": segment.present != 0,
        "avl": segment.avl != 0, "l": segment.l != 0, "db": segment.db != 0, "g": segment.g != 0,
        "unusable": segment.unusable != 0,
    })
}

fn events(events: &kvm_vcpu_events) -> Value {
    let (exception, interrupt, nmi) = (&events.exception, &events.interrupt, &events.nmi);
    // The number is only valid with its event.
    let vector = |there: bool, number: u8| there.then_some(number);
    let has_exception = exception.injected != 0 || exception.pending != 0;
    json!({
        "exception": {
            "injected": exception.injected != 0, "pending": exception.pending != 0,
            "vector": vector(has_exception, exception.nr),
            "error-code": (has_exception && exception.has_error_code != 0).then(|| text(exception.error_code)),
        },
        "interrupt": {
            "injected": interrupt.injected != 0, "vector": vector(interrupt.injected != 0, interrupt.nr),
            "shadow": interrupt.shadow != 0,
        },
        "nmi": {
            "injected": nmi.injected != 0, "pending": nmi.pending != 0, "masked": nmi.masked != 0,
        },
        "smi": { "smm": events.smi.smm != 0, "pending": events.smi.pending != 0 },
        "sipi-vector": text(events.sipi_vector),
        "triple-fault": events.triple_fault.pending != 0,
    })
}

#[cfg(test)]
#[path = "registers_test.rs"]
mod tests;
