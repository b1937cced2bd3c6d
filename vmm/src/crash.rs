//! Reports a guest that can't continue.

use std::fmt;

use arch::memory::GuestRam;
use devices::chipset::Rom;
use kvm_bindings::{KVM_INTERNAL_ERROR_EMULATION, kvm_regs, kvm_sregs};
use kvm_ioctls::VcpuFd;

use crate::inspect::{AddressSpace, code_at, instruction_address};

/// Reasons why a guest can't continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `KVM_EXIT_SHUTDOWN`.
    TripleFault,
    /// `KVM_EXIT_FAIL_ENTRY` with the hardware's reason.
    FailEntry(u64),
    /// `KVM_EXIT_INTERNAL_ERROR` with its suberror.
    Internal(u32),
    /// An exit that KVM should not have made.
    Unexpected(u32),
}

impl Reason {
    /// The exit status for it; see [`crate::exit::HELP`].
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::TripleFault => 4,
            Self::FailEntry(_) => 6,
            Self::Internal(KVM_INTERNAL_ERROR_EMULATION) => 8,
            Self::Internal(_) | Self::Unexpected(_) => 10,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TripleFault => write!(f, "the guest met a triple fault (KVM_EXIT_SHUTDOWN)"),
            Self::FailEntry(reason) => {
                write!(
                    f,
                    "the processor refused to enter the guest (KVM_EXIT_FAIL_ENTRY, hardware reason {reason:#x}"
                )?;
                // SDM 3C, "VM-Entry Failures During or After Loading Guest State".
                match reason & 0xffff {
                    33 => write!(f, ": invalid guest state)"),
                    34 => write!(f, ": MSR loading)"),
                    41 => write!(f, ": machine-check event)"),
                    _ => write!(f, ")"),
                }
            }
            Self::Internal(KVM_INTERNAL_ERROR_EMULATION) => {
                write!(
                    f,
                    "KVM could not emulate an instruction of the guest (KVM_EXIT_INTERNAL_ERROR, suberror 1)"
                )
            }
            Self::Internal(suberror) => {
                let what = match suberror {
                    2 => "several exceptions at once",
                    3 => "an exit while an event was being delivered",
                    4 => "an exit reason KVM does not know",
                    _ => "unknown",
                };
                write!(f, "KVM gave up (KVM_EXIT_INTERNAL_ERROR, suberror {suberror}: {what})")
            }
            Self::Unexpected(reason) => {
                write!(f, "KVM ended with exit reason {reason}, which nvmm did not ask for")
            }
        }
    }
}

/// The state of the vCPU that crashed.
#[derive(Debug)]
pub struct Crash {
    /// The reason.
    pub reason: Reason,
    vcpu: u32,
    registers: Option<(kvm_regs, kvm_sregs)>,
    code: Vec<u8>,
}

impl Crash {
    /// Reads the state of `vcpu`, as far as KVM gives it, and its code, from memory or from firmware's `rom`.
    #[must_use]
    pub fn new(reason: Reason, vcpu: u32, fd: &VcpuFd, memory: &GuestRam, rom: Option<&Rom>) -> Self {
        let registers = fd.get_regs().ok().zip(fd.get_sregs().ok());
        let code = registers
            .zip(AddressSpace::read(fd, memory).ok())
            .map(|((regs, sregs), space)| code_at(instruction_address(&regs, &sregs), &space, memory, rom));
        Self { reason, vcpu, registers, code: code.unwrap_or_default() }
    }
}

#[cfg(test)]
impl Crash {
    /// A crash about which nothing else is known.
    pub(crate) fn without_state(reason: Reason) -> Self {
        Self { reason, vcpu: 0, registers: None, code: Vec::new() }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  vCPU {}", self.reason, self.vcpu)?;
        if let Some((regs, sregs)) = &self.registers {
            write!(f, "   RIP {:#x}   RSP {:#x}   RFLAGS {:#x}", regs.rip, regs.rsp, regs.rflags)?;
            let (cr0, cr3, cr4, efer) = (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer);
            write!(
                f,
                "\n  CR0 {cr0:#x}   CR2 {:#x}   CR3 {cr3:#x}   CR4 {cr4:#x}   EFER {efer:#x}",
                sregs.cr2
            )?;
        }
        write!(f, "\n  bytes at RIP:")?;
        if self.code.is_empty() {
            write!(f, " not mapped")?;
        }
        self.code.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
    }
}

#[cfg(test)]
#[path = "crash_test.rs"]
mod tests;
