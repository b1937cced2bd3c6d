//! Non-maskable interrupts.

use kvm_ioctls::VcpuFd;

use super::{
    error::InspectError,
    halted::Halted,
    lapic::{LocalApic, NMI},
};
use crate::vm::kvm;

/// Sends an NMI to every vCPU by LINT1 of its local APIC, as QEMU's `inject-nmi` does. Linux accepts it on the first vCPU.
///
/// # Errors
///
/// No vCPU accepts it, or KVM refuses.
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

/// Sends an NMI to one vCPU, whatever its LINT1 is set to, as another processor's interrupt command would.
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
