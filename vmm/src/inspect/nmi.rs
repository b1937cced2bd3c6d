//! Non-maskable interrupts.

use kvm_ioctls::VcpuFd;

use super::{
    error::InspectError,
    halted::Halted,
    lapic::{LocalApic, NMI},
};
use crate::vm::kvm;

/// Gives every vCPU an NMI by LINT1 of its local APIC, as QEMU's `inject-nmi` does; Linux listens to it on the first vCPU.
///
/// # Errors
///
/// None of them listens, or KVM refuses.
pub(crate) fn inject(machine: &Halted<'_>) -> Result<(), InspectError> {
    let mut taken = false;
    for (index, fd) in machine.select(None)? {
        let lapic = LocalApic::read(fd).map_err(|source| InspectError::Vcpu(index, source))?;
        let lint1 = lapic.lint1();
        if !lint1.masked() && lint1.delivery_mode() == NMI {
            send(index, fd)?;
            taken = true;
        }
    }
    if taken { Ok(()) } else { Err(InspectError::NmiMasked) }
}

/// Gives one vCPU an NMI, whatever its LINT1 says, as another processor's interrupt command would.
///
/// # Errors
///
/// There is no such vCPU, or KVM refuses.
pub(crate) fn inject_one(machine: &Halted<'_>, index: u32) -> Result<(), InspectError> {
    send(index, machine.vcpu(index)?)
}

fn send(index: u32, fd: &VcpuFd) -> Result<(), InspectError> {
    fd.nmi().map_err(|source| InspectError::Vcpu(index, kvm("KVM_NMI")(source)))
}

#[cfg(test)]
#[path = "nmi_test.rs"]
mod tests;
