//! The state of a machine in KVM: its clock, its vCPUs, and the interrupt controllers and the timer that they share.

use arch::memory::GuestRam;
use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_irqchip, kvm_pit_state2,
};
use kvm_ioctls::{VcpuFd, VmFd};
use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress};

use super::{
    clock::Clock,
    error::StateError,
    raw::Raw,
    vcpu::{Around, VcpuState},
};
use crate::vm::kvm;

/// The size of KVM's `pvclock_wall_clock`, in bytes.
const WALL_CLOCK: usize = 12;

/// Everything that KVM keeps for a machine except its memory and its interrupt routes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct KvmState {
    clock: Clock,
    vcpus: Vec<VcpuState>,
    pic_master: Raw<kvm_irqchip>,
    pic_slave: Raw<kvm_irqchip>,
    ioapic: Raw<kvm_irqchip>,
    pit: Raw<kvm_pit_state2>,
}

impl KvmState {
    /// Reads the state of a machine whose vCPUs and devices are stopped.
    ///
    /// The order, with the reasons:
    /// 1. the clock, next to the TSCs, which are read right after it;
    /// 2. the vCPUs;
    /// 3. the PICs, the IOAPIC and the PIT: an interrupt goes from the PIT and the lines to the PICs and the IOAPIC, and from there to a
    ///    vCPU. One that arrives between two readings is either in neither part or in both; a level that stays high is delivered again.
    ///
    /// # Errors
    ///
    /// KVM refuses.
    pub(crate) fn read<'a>(
        around: Around<'_>,
        vcpus: impl Iterator<Item = &'a VcpuFd>,
    ) -> Result<Self, StateError> {
        let clock = Clock::read(around.vm)?;
        let vcpus = vcpus.map(|vcpu| VcpuState::read(around, vcpu)).collect::<Result<_, _>>()?;
        let chip = |chip_id| {
            let mut chip = kvm_irqchip { chip_id, ..Default::default() };
            around.vm.get_irqchip(&mut chip).map_err(kvm("KVM_GET_IRQCHIP")).map(|()| Raw(chip))
        };
        Ok(Self {
            clock,
            vcpus,
            pic_master: chip(KVM_IRQCHIP_PIC_MASTER)?,
            pic_slave: chip(KVM_IRQCHIP_PIC_SLAVE)?,
            ioapic: chip(KVM_IRQCHIP_IOAPIC)?,
            pit: Raw(around.vm.get_pit2().map_err(kvm("KVM_GET_PIT2"))?),
        })
    }

    /// Sets the state of a machine that has not run, whose memory is already restored.
    ///
    /// The order, with the reasons:
    /// 1. the clock: it gives the time that has passed, from which the vCPUs' TSCs are set, and must be set before a vCPU runs;
    /// 2. the vCPUs with their local APICs: setting one drops the interrupts that it has received;
    /// 3. the PICs and the IOAPIC, which may pass interrupts on to the local APICs at once;
    /// 4. the PIT, whose interrupts go to those.
    ///
    /// The devices are set after that. They drive the controllers' inputs.
    ///
    /// # Errors
    ///
    /// KVM refuses a part, or lacks a feature that has state here, or the number of vCPUs differs.
    pub(crate) fn give<'a>(
        &self,
        around: Around<'_>,
        vcpus: impl ExactSizeIterator<Item = &'a VcpuFd>,
        memory: &GuestRam,
    ) -> Result<(), StateError> {
        if vcpus.len() != self.vcpus.len() {
            return Err(StateError::Wrong("the state has another number of vCPUs"));
        }
        let passed = self.clock.give(around.vm)?;
        for (state, vcpu) in self.vcpus.iter().zip(vcpus) {
            keep_wall_clocks(state, memory, || state.give(around, vcpu, memory, &passed))?;
        }
        for (chip, id) in [
            (&self.pic_master, KVM_IRQCHIP_PIC_MASTER),
            (&self.pic_slave, KVM_IRQCHIP_PIC_SLAVE),
            (&self.ioapic, KVM_IRQCHIP_IOAPIC),
        ] {
            if chip.0.chip_id != id {
                return Err(StateError::Wrong("the state of an interrupt controller is another's"));
            }
            give_chip(around.vm, &chip.0)?;
        }
        Ok(around.vm.set_pit2(&self.pit.0).map_err(kvm("KVM_SET_PIT2"))?)
    }

    /// The vCPUs' states.
    pub(crate) fn vcpus(&self) -> &[VcpuState] {
        &self.vcpus
    }
}

fn give_chip(vm: &VmFd, chip: &kvm_irqchip) -> Result<(), StateError> {
    Ok(vm.set_irqchip(chip).map_err(kvm("KVM_SET_IRQCHIP"))?)
}

/// Runs `give` to set a vCPU's state, and keeps guest memory unchanged: KVM writes the time to the address in MSR_KVM_WALL_CLOCK when that
/// is set, but the guest may use that memory for something else by now.
pub(super) fn keep_wall_clocks(
    state: &VcpuState,
    memory: &GuestRam,
    give: impl FnOnce() -> Result<(), StateError>,
) -> Result<(), StateError> {
    let kept = state.wall_clocks().filter_map(|address| {
        let mut bytes = [0; WALL_CLOCK];
        memory.read_slice(&mut bytes, GuestAddress(address)).ok()?;
        Some((address, bytes))
    });
    let kept: Vec<_> = kept.collect();
    give()?;
    for (address, bytes) in kept {
        let written = memory.write_slice(&bytes, GuestAddress(address));
        written.map_err(|_| StateError::Wrong("the wall clock's memory"))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "vm_test.rs"]
mod tests;
