//! The places at which a vCPU stops for a debugger.

use std::collections::BTreeSet;

use kvm_bindings::{
    KVM_GUESTDBG_BLOCKIRQ, KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP,
    KVM_GUESTDBG_USE_SW_BP, kvm_debug_exit_arch, kvm_guest_debug, kvm_guest_debug_arch,
};

/// The instruction of a software breakpoint: INT3.
pub(crate) const INT3: u8 = 0xcc;
/// A processor's breakpoint registers: DR0 to DR3.
pub(crate) const REGISTERS: usize = 4;

/// Exception 1, #DB.
pub(crate) const DEBUG: u32 = 1;
/// Exception 3, #BP.
pub(crate) const BREAKPOINT: u32 = 3;

/// DR6.BS: the trap was a single step. SDM 3B, "Debug Status Register (DR6)".
const SINGLE_STEP: u64 = 1 << 14;

/// The accesses for which a breakpoint register waits, encoded as in the R/W field of DR7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The execution of an instruction.
    Execute = 0b00,
    /// A write of data.
    Write = 0b01,
    /// A read or a write of data.
    ReadWrite = 0b11,
}

/// A breakpoint register in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// The linear address, a multiple of the length.
    pub(crate) address: u64,
    /// 1, 2, 4 or 8 bytes; 1 for [`Access::Execute`].
    pub(crate) len: u8,
    /// The access.
    pub(crate) access: Access,
}

/// Everything at which one vCPU stops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traps {
    /// The end of the next instruction.
    pub(crate) step: bool,
    /// The breakpoint registers.
    pub(crate) registers: [Option<Watched>; REGISTERS],
    /// Guest-physical addresses at which an instruction was replaced by [`INT3`].
    pub(crate) patched: BTreeSet<u64>,
}

/// Reasons why a vCPU stopped for a debugger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trap {
    /// The vCPU has made a step.
    Step,
    /// The vCPU is at one of the debugger's [`INT3`].
    Patch,
    /// The vCPU was stopped by the breakpoint register with this number.
    Register(usize),
}

impl Traps {
    /// Returns whether KVM has to be given these traps, if it was last given `before`. Each step has to be set again: KVM steps with the
    /// trap flag in RFLAGS, which the guest clears with POPF, IRET or SYSCALL, and KVM itself clears when the debugger changes RIP.
    pub(crate) fn need_setting(&self, before: &Self) -> bool {
        self.step || self != before
    }

    /// KVM's form. With `block_irq`, interrupts wait while a vCPU steps, which Linux supports since 5.15.
    pub(crate) fn control(&self, block_irq: bool) -> kvm_guest_debug {
        let mut control = 0;
        let mut arch = kvm_guest_debug_arch::default();
        if self.step {
            control |= KVM_GUESTDBG_SINGLESTEP | if block_irq { KVM_GUESTDBG_BLOCKIRQ } else { 0 };
        }
        if !self.patched.is_empty() {
            control |= KVM_GUESTDBG_USE_SW_BP;
        }
        if self.registers.iter().any(Option::is_some) {
            control |= KVM_GUESTDBG_USE_HW_BP;
            arch.debugreg[7] = self.dr7();
            for (register, watched) in arch.debugreg.iter_mut().zip(self.registers) {
                *register = watched.map_or(0, |watched| watched.address);
            }
        }
        if control != 0 {
            control |= KVM_GUESTDBG_ENABLE;
        }
        kvm_guest_debug { control, pad: 0, arch }
    }

    /// SDM 3B, "Debug Control Register (DR7)": bit 10 is always set, and GE and the G bits enable breakpoints.
    fn dr7(&self) -> u64 {
        let fields = (0..).zip(self.registers).filter_map(|(number, watched)| {
            let Watched { len, access, .. } = watched?;
            let len = match len {
                1 => 0b00,
                2 => 0b01,
                8 => 0b10,
                _ => 0b11,
            };
            Some(2 << (2 * number) | (access as u64 | len << 2) << (16 + 4 * number))
        });
        fields.fold(1 << 10 | 1 << 9, |dr7: u64, field: u64| dr7 | field)
    }

    /// The trap that KVM's debug exit reports. `physical` is the address of the instruction. None if it is the guest's own.
    pub(crate) fn judge(&self, exit: &kvm_debug_exit_arch, physical: Option<u64>) -> Option<Trap> {
        if exit.exception == BREAKPOINT {
            return physical.filter(|at| self.patched.contains(at)).map(|_| Trap::Patch);
        }
        let hit = |&number: &usize| exit.dr6 >> number & 1 != 0 && self.registers[number].is_some();
        let register = (0..REGISTERS).find(hit).map(Trap::Register);
        register.or_else(|| (self.step && exit.dr6 & SINGLE_STEP != 0).then_some(Trap::Step))
    }
}

#[cfg(test)]
#[path = "traps_test.rs"]
mod tests;
