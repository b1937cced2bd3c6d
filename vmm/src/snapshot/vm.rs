//! The state of KVM's part of a machine: its clock, its vCPUs, and the interrupt controllers and the timer that they share.

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

/// The bytes of KVM's `pvclock_wall_clock`.
const WALL_CLOCK: usize = 12;

/// All that KVM keeps of a machine beside its memory and its routes.
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
    /// The order, and why:
    /// 1. the clock, beside the TSCs that are read right after it;
    /// 2. the vCPUs;
    /// 3. the PICs, the IOAPIC and the PIT: an interrupt goes from the PIT and the lines to the PICs and the IOAPIC, and from there to a vCPU. One that
    ///    comes between the readings is then missing where it came from, or there twice, and a level that is still high comes again.
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

    /// Gives the state to a machine that has not run, whose memory is as it was.
    ///
    /// The order, and why:
    /// 1. the clock: it tells how much time passed, which the vCPUs' TSCs are set by, and must be there before a vCPU runs;
    /// 2. the vCPUs with their local APICs: setting one forgets the interrupts that have reached it;
    /// 3. the PICs and the IOAPIC, which may pass interrupts on to the local APICs at once;
    /// 4. the PIT, whose interrupts go to those.
    ///
    /// Devices follow, which drive the controllers' inputs.
    ///
    /// # Errors
    ///
    /// KVM refuses a part, or lacks what there is a state of; the number of vCPUs is another.
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

/// Has `give` set a vCPU's state, and leaves guest memory as it is: KVM writes the time to the address in MSR_KVM_WALL_CLOCK when that is set, but the
/// guest may have something else there by now.
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
