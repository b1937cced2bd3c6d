//! A machine with stopped vCPUs, for inspection.

use arch::memory::GuestRam;
use kvm_ioctls::{VcpuFd, VmFd};
use serde_json::{Value, json};

use super::{error::InspectError, irqchips::IrqChips, lapic::LocalApic, registers::Registers};

/// A machine for inspection. Its vCPUs are not in `KVM_RUN`.
#[derive(Debug)]
pub(crate) struct Halted<'a> {
    /// The vCPUs by index.
    pub(crate) vcpus: Vec<&'a VcpuFd>,
    /// Guest RAM.
    pub(crate) memory: &'a GuestRam,
    /// The machine itself.
    pub(crate) vm: &'a VmFd,
}

impl Halted<'_> {
    /// Returns a vCPU by its index.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn vcpu(&self, index: u32) -> Result<&VcpuFd, InspectError> {
        let vcpu = usize::try_from(index).ok().and_then(|index| self.vcpus.get(index));
        vcpu.copied().ok_or(InspectError::NoVcpu { given: index, count: self.vcpus.len() })
    }

    /// All vCPUs, or the requested one.
    pub(crate) fn select(&self, index: Option<u32>) -> Result<Vec<(u32, &VcpuFd)>, InspectError> {
        match index {
            Some(index) => Ok(vec![(index, self.vcpu(index)?)]),
            None => Ok((0..).zip(self.vcpus.iter().copied()).collect()),
        }
    }

    /// Reads the registers of a vCPU.
    pub(super) fn registers(&self, index: u32, fd: &VcpuFd) -> Result<Registers, InspectError> {
        Registers::read(fd, self.memory).map_err(|source| InspectError::Vcpu(index, source))
    }

    /// The answer to `nvmm-registers`: registers and local APICs of all vCPUs or of one, and the interrupt controllers.
    ///
    /// # Errors
    ///
    /// There is no such vCPU, or KVM refuses.
    pub(crate) fn to_json(&self, index: Option<u32>) -> Result<Value, InspectError> {
        let vcpus = self.select(index)?.into_iter().map(|(index, fd)| {
            let mut vcpu = self.registers(index, fd)?.to_json();
            let lapic = LocalApic::read(fd).map_err(|source| InspectError::Vcpu(index, source))?;
            vcpu["cpu-index"] = index.into();
            vcpu["lapic"] = lapic.to_json();
            Ok(vcpu)
        });
        let vcpus = vcpus.collect::<Result<Vec<_>, InspectError>>()?;
        let chips = IrqChips::read(self.vm).map_err(InspectError::Vm)?;
        Ok(json!({ "vcpus": vcpus, "ioapic": chips.ioapic_json(), "pics": chips.pics_json() }))
    }
}
