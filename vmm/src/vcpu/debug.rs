//! A debugger's view of a stopped vCPU: its registers, its address space, and its traps.

use kvm_bindings::{
    KVM_EXIT_IO, KVM_EXIT_MMIO, KVM_MP_STATE_HALTED, Msrs, kvm_debug_exit_arch, kvm_msr_entry,
};
use kvm_ioctls::{Error, VmFd};

use super::{Vcpu, write_msrs};
use crate::{
    buses::Buses,
    gdb::{BREAKPOINT, DEBUG, Registers, Space, State, Trap, Traps},
    inspect::{AddressSpace, instruction_address},
    link::Event,
    questions::Refusal,
    vm::{KvmError, kvm},
    xsave,
};

const KERNEL_GS_BASE: u32 = 0xc000_0102;

impl Vcpu {
    /// Completes the port or memory access at which the vCPU stopped: only then do its registers have the guest's values (Linux,
    /// Documentation/virt/kvm/api.rst, "The kvm_run structure"). Returns the event that follows, unless the vCPU just goes on.
    pub(crate) fn complete_io(&mut self, machine: &Buses) -> Option<Event> {
        if ![KVM_EXIT_IO, KVM_EXIT_MMIO].contains(&self.fd.get_kvm_run().exit_reason) {
            return None;
        }
        self.settle(machine).unwrap_or_default()
    }

    /// The registers.
    ///
    /// # Errors
    ///
    /// KVM refuses to read them.
    pub(crate) fn registers(&self, vm: &VmFd) -> Result<Registers, KvmError> {
        Ok(self.state(vm)?.0.registers())
    }

    /// Sets those registers whose values differ.
    ///
    /// # Errors
    ///
    /// A value is impossible on a processor, or is for a segment register.
    pub(crate) fn set_registers(&mut self, vm: &VmFd, registers: &Registers) -> Result<(), Refusal> {
        let id = self.id;
        let refused = |what: &'static str| {
            move |error: Error| Refusal(format!("vCPU {id}: KVM refuses the {what}: {error}"))
        };
        let (old, mut fpu) = self.state(vm).map_err(|error| Refusal(error.to_string()))?;
        let new = old.with(registers).ok_or_else(|| {
            Refusal("a segment register can't be changed: only the guest can load its descriptor".to_owned())
        })?;
        // First the mode, on which the validity of the others depends.
        if new.sregs != old.sregs {
            self.fd.set_sregs(&new.sregs).map_err(refused("segment and control registers"))?;
        }
        if new.regs != old.regs {
            self.fd.set_regs(&new.regs).map_err(refused("general registers"))?;
        }
        if new.kernel_gs_base != old.kernel_gs_base {
            let written = write_msrs(&self.fd, self.id, &[(KERNEL_GS_BASE, new.kernel_gs_base)]);
            if !matches!(written, Ok(1)) {
                return Err(Refusal(format!("vCPU {id}: KVM refuses the value of k_gs_base")));
            }
        }
        if new.fxsave != old.fxsave {
            fpu.set_legacy(&new.fxsave);
            fpu.give(&self.fd).map_err(refused("x87 and SSE registers"))?;
        }
        Ok(())
    }

    /// Calls `look` with the memory as the vCPU's page tables map it.
    pub(crate) fn with_space<T>(&self, look: impl FnOnce(&Space<'_>) -> T) -> T {
        let space = self.address_space();
        look(&Space { translate: &|address| physical(space.as_ref()?, address), ram: &self.memory })
    }

    /// Replaces the traps. With `block_irq`, interrupts wait while the vCPU takes a step.
    ///
    /// # Errors
    ///
    /// KVM refuses them.
    pub(crate) fn set_traps(&mut self, traps: Traps, block_irq: bool) -> Result<(), KvmError> {
        if traps.need_setting(&self.traps) {
            let control = traps.control(block_irq);
            self.fd.set_guest_debug(&control).map_err(kvm("KVM_SET_GUEST_DEBUG"))?;
            self.traps = traps;
        }
        Ok(())
    }

    /// Returns whether it waits for an interrupt.
    pub(crate) fn is_halted(&self) -> bool {
        self.fd.get_mp_state().is_ok_and(|state| state.mp_state == KVM_MP_STATE_HALTED)
    }

    /// The trap of KVM's debug exit. If the trap is the guest's own, it is passed on to the guest.
    pub(super) fn trap(&mut self, exit: &kvm_debug_exit_arch) -> Option<Trap> {
        let is_breakpoint = exit.exception == BREAKPOINT;
        let space = is_breakpoint.then(|| self.address_space()).flatten();
        let physical = space.and_then(|space| physical(&space, exit.pc));
        let trap = self.traps.judge(exit, physical);
        if trap.is_none()
            && let Err(error) = self.give_back(exit)
        {
            log::warn!("vCPU {}: the guest does not get its exception {}: {error}", self.id, exit.exception);
        }
        trap
    }

    /// Returns whether the next instruction is a breakpoint of the debugger's. A KVM that emulates instructions in software can't raise
    /// #BP.
    pub(super) fn is_at_patch(&self) -> bool {
        if self.traps.patched.is_empty() {
            return false;
        }
        let (Ok(regs), Ok(sregs)) = (self.fd.get_regs(), self.fd.get_sregs()) else { return false };
        let Some(space) = self.address_space() else { return false };
        let physical = physical(&space, instruction_address(&regs, &sregs));
        physical.is_some_and(|physical| self.traps.patched.contains(&physical))
    }

    /// Raises an exception that belongs to the guest but caused an exit.
    fn give_back(&self, exit: &kvm_debug_exit_arch) -> Result<(), Error> {
        if exit.exception == DEBUG {
            let mut registers = self.fd.get_debug_regs()?;
            registers.dr6 = exit.dr6;
            self.fd.set_debug_regs(&registers)?;
        }
        let mut events = self.fd.get_vcpu_events()?;
        events.exception.injected = 1;
        events.exception.nr = u8::try_from(exit.exception).unwrap_or_default();
        events.exception.has_error_code = 0;
        self.fd.set_vcpu_events(&events)
    }

    /// The address space; none if KVM doesn't return its registers.
    fn address_space(&self) -> Option<AddressSpace<'_>> {
        AddressSpace::read(&self.fd, &self.memory).ok()
    }

    fn state(&self, vm: &VmFd) -> Result<(State, xsave::State), KvmError> {
        let fpu = xsave::State::of(vm, &self.fd).map_err(kvm("KVM_GET_XSAVE"))?;
        let state = State {
            regs: self.fd.get_regs().map_err(kvm("KVM_GET_REGS"))?,
            sregs: self.fd.get_sregs().map_err(kvm("KVM_GET_SREGS"))?,
            kernel_gs_base: self.kernel_gs_base().map_err(kvm("KVM_GET_MSRS"))?,
            fxsave: fpu.legacy(),
        };
        Ok((state, fpu))
    }

    /// 0 if KVM doesn't return the MSR.
    fn kernel_gs_base(&self) -> Result<u64, Error> {
        let entry = kvm_msr_entry { index: KERNEL_GS_BASE, ..Default::default() };
        let mut msrs = Msrs::from_entries(&[entry]).map_err(|_| Error::new(libc::ENOMEM))?;
        self.fd.get_msrs(&mut msrs)?;
        Ok(msrs.as_slice().first().map_or(0, |msr| msr.data))
    }
}

/// The physical address of a linear address, if a page is mapped there.
fn physical(space: &AddressSpace<'_>, linear: u64) -> Option<u64> {
    Some(space.translate(linear).ok()??.address)
}
