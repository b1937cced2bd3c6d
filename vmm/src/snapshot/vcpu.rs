//! A vCPU's state in KVM.

use std::collections::BTreeMap;

use arch::memory::GuestRam;
use kvm_bindings::{
    KVM_CAP_NESTED_STATE, KVM_CAP_SREGS2, KVM_MP_STATE_SIPI_RECEIVED, KVM_STATE_NESTED_FORMAT_SVM,
    KVM_STATE_NESTED_FORMAT_VMX, KVM_STATE_NESTED_GIF_SET, KVM_VCPUEVENT_VALID_NMI_PENDING,
    KVM_VCPUEVENT_VALID_SIPI_VECTOR, kvm_debugregs, kvm_lapic_state, kvm_mp_state, kvm_nested_state,
    kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs,
};
use kvm_ioctls::{Cap, KvmNestedStateBuffer, VcpuFd, VmFd};
use serde::{Deserialize, Serialize};
use zerocopy::IntoBytes;

use super::{
    clock::Passed,
    error::StateError,
    msrs::{self, Values},
    raw::{Bytes, Raw},
    vmcb,
};
use crate::{
    ioctls::{self, Sregs2},
    tsc::{self, TIME_STAMP_COUNTER},
    vm::kvm,
    xsave,
};

/// The bytes of nested state that are always there.
const NESTED_HEADER: usize = size_of::<kvm_nested_state>();

/// The bits of DR7 that enable breakpoints.
const BREAKPOINTS: u64 = 0xff;

/// Everything that KVM keeps for a vCPU except its CPUID, which is part of the CPU's profile.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct VcpuState {
    mp_state: Raw<kvm_mp_state>,
    regs: Raw<kvm_regs>,
    sregs: Sregs,
    xsave: Bytes,
    xcrs: Option<Raw<kvm_xcrs>>,
    debug_regs: Raw<kvm_debugregs>,
    lapic: Raw<kvm_lapic_state>,
    /// As many bytes as KVM returned: only its header after VMXON, while there is no current VMCS.
    nested: Option<Bytes>,
    tsc_khz: u32,
    /// The offset of the guest's TSC from the host's.
    tsc_offset: Option<u64>,
    msrs: Values,
    events: Raw<kvm_vcpu_events>,
}

/// Segment and control registers, in the form that this KVM uses.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Sregs {
    /// With the PDPTEs.
    Sregs2(Raw<Sregs2>),
    /// With an interrupt being injected, before Linux 5.14.
    Sregs(Raw<kvm_sregs>),
}

/// The machine to which a vCPU belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<'a> {
    /// The machine in KVM.
    pub(crate) vm: &'a VmFd,
    /// The numbers of the MSRs in KVM's list.
    pub(crate) listed: &'a [u32],
    /// The MSRs that report capabilities, with the values that the guest's CPU was given.
    pub(crate) capabilities: &'a BTreeMap<u32, u64>,
}

impl VcpuState {
    /// Reads the state of a stopped vCPU that has completed its last exit.
    ///
    /// The order, with the reasons:
    /// 1. MP_STATE: reading it applies a pending INIT or SIPI, which changes registers;
    /// 2. general registers, special ones, XSAVE, XCR0 and debug registers, in any order;
    /// 3. the local APIC, which may still receive an interrupt: the IOAPIC, which is read after all vCPUs, no longer has it then;
    /// 4. nested state, which updates the VMCS or VMCB of a running nested guest;
    /// 5. the TSC's rate and offset, and the MSRs, close to the time of the clock;
    /// 6. events last: reading the others may turn a pending event into one being injected.
    ///
    /// # Errors
    ///
    /// KVM refuses.
    pub(crate) fn read(around: Around<'_>, vcpu: &VcpuFd) -> Result<Self, StateError> {
        let Around { vm, listed, capabilities } = around;
        let mp_state = Raw(vcpu.get_mp_state().map_err(kvm("KVM_GET_MP_STATE"))?);
        let regs = Raw(vcpu.get_regs().map_err(kvm("KVM_GET_REGS"))?);
        let sregs = Sregs::read(vm, vcpu)?;
        let xsave = xsave::State::of(vm, vcpu).map_err(kvm("KVM_GET_XSAVE2"))?.to_bytes();
        let has_xcrs = vm.check_extension(Cap::Xcrs);
        let xcrs = has_xcrs.then(|| vcpu.get_xcrs().map_err(kvm("KVM_GET_XCRS"))).transpose()?;
        let debug_regs = Raw(vcpu.get_debug_regs().map_err(kvm("KVM_GET_DEBUGREGS"))?);
        let lapic = Raw(vcpu.get_lapic().map_err(kvm("KVM_GET_LAPIC"))?);
        let nested = read_nested(vm, vcpu)?;
        let tsc_khz = vcpu.get_tsc_khz().map_err(kvm("KVM_GET_TSC_KHZ"))?;
        let tsc_offset = ioctls::tsc_offset(vcpu).ok();
        let planned: Vec<_> = capabilities.keys().copied().collect();
        let msrs = Values::read(vcpu, listed, &planned)?;
        let events = Raw(vcpu.get_vcpu_events().map_err(kvm("KVM_GET_VCPU_EVENTS"))?);
        Ok(Self {
            mp_state,
            regs,
            sregs,
            xsave: Bytes(xsave),
            xcrs: xcrs.map(Raw),
            debug_regs,
            lapic,
            nested,
            tsc_khz,
            tsc_offset,
            msrs,
            events,
        })
    }

    /// Sets the state of a vCPU that has not run, in a machine whose memory is already restored. Its CPUID is set, against which KVM checks
    /// all of the state. `passed` is the time since the state was read.
    ///
    /// The order, with the reasons:
    /// 1. the TSC's rate, in which its offset and its deadline are measured;
    /// 2. MSRs of capabilities, and IA32_FEATURE_CONTROL: KVM refuses the first in VMX operation, and VMX operation without the second;
    /// 3. special registers: EFER.SVME must be set before SVM's nested state, SVM takes the nested guest's registers from here, and they
    ///    include the local APIC's mode;
    /// 4. the local APIC, whose timer mode must be set before the TSC deadline;
    /// 5. nested state, before the MSRs that it may load;
    /// 6. general registers, since setting them drops pending exceptions; XCR0; and XSAVE's state, parts of which need XCR0 to enable them;
    /// 7. the TSC, and all other MSRs with the TSC's deadline last;
    /// 8. debug registers, and events, which step 6 would have dropped;
    /// 9. MP_STATE last, as nothing after it may wake a halted vCPU.
    ///
    /// # Errors
    ///
    /// KVM refuses a part, or lacks a feature that has state here.
    pub(crate) fn give(
        &self,
        around: Around<'_>,
        vcpu: &VcpuFd,
        memory: &GuestRam,
        passed: &Passed,
    ) -> Result<(), StateError> {
        let Around { vm, capabilities, .. } = around;
        let is_capability = |index| capabilities.contains_key(&index);
        self.give_rate(vm, vcpu)?;
        self.msrs.give_capabilities(vcpu, is_capability)?;
        self.sregs.give(vm, vcpu)?;
        vcpu.set_lapic(&self.lapic.0).map_err(kvm("KVM_SET_LAPIC"))?;
        self.give_nested(vm, vcpu)?;
        vcpu.set_regs(&self.regs.0).map_err(kvm("KVM_SET_REGS"))?;
        match &self.xcrs {
            Some(xcrs) if vm.check_extension(Cap::Xcrs) => {
                vcpu.set_xcrs(&xcrs.0).map_err(kvm("KVM_SET_XCRS"))?;
            }
            Some(_) => return Err(StateError::Lacks("KVM_CAP_XCRS")),
            None => {}
        }
        let xsave = xsave::State::from_bytes(vm, &self.xsave.0);
        xsave.and_then(|xsave| xsave.give(vcpu)).map_err(kvm("KVM_SET_XSAVE2"))?;
        self.give_tsc(vcpu, passed)?;
        self.msrs.give_rest(vcpu, is_capability)?;
        vcpu.set_debug_regs(&self.whole_debug_regs(memory)).map_err(kvm("KVM_SET_DEBUGREGS"))?;
        vcpu.set_vcpu_events(&self.whole_events()).map_err(kvm("KVM_SET_VCPU_EVENTS"))?;
        vcpu.set_mp_state(self.mp_state.0).map_err(kvm("KVM_SET_MP_STATE"))?;
        Ok(())
    }

    /// The difference between its TSC and the host's.
    #[cfg(test)]
    pub(super) fn tsc_offset(&self) -> Option<u64> {
        self.tsc_offset
    }

    /// The guest-physical addresses to which KVM has written the wall clock, if any.
    pub(super) fn wall_clocks(&self) -> impl Iterator<Item = u64> {
        const WALL_CLOCKS: [u32; 2] = [0x11, 0x4b56_4d00];
        WALL_CLOCKS.into_iter().filter_map(|index| self.msrs.get(index)).filter(|&address| address != 0)
    }

    /// Returns whether its guest has a current VMCS, or runs a nested guest: only the KVM that wrote such state is sure to understand it.
    pub(crate) fn has_nested_guest(&self) -> bool {
        self.nested.as_ref().is_some_and(|nested| nested.0.len() > NESTED_HEADER)
    }

    /// Returns whether a KVM without nested virtualization can take this state.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_idle(&self) -> bool {
        self.nested.as_ref().is_none_or(|nested| is_idle(&nested.0))
    }

    fn give_rate(&self, vm: &VmFd, vcpu: &VcpuFd) -> Result<(), StateError> {
        let here = vcpu.get_tsc_khz().map_err(kvm("KVM_GET_TSC_KHZ"))?;
        if here == self.tsc_khz {
            return Ok(());
        }
        let saved = self.tsc_khz;
        tsc::set_rate(vm, vcpu, saved).map_err(|source| StateError::Rate { saved, here, source })
    }

    /// Sets the TSC to the value it would have by now. With offsets, the differences between vCPUs stay exact to the cycle.
    fn give_tsc(&self, vcpu: &VcpuFd, passed: &Passed) -> Result<(), StateError> {
        if let (Some(offset), Some(shift)) = (self.tsc_offset, passed.tsc_shift(self.tsc_khz)) {
            let offset = offset.wrapping_add(shift);
            return Ok(ioctls::set_tsc_offset(vcpu, offset)
                .map_err(kvm("KVM_SET_DEVICE_ATTR of the TSC's offset"))?);
        }
        match self.msrs.get(TIME_STAMP_COUNTER) {
            Some(then) => msrs::set(vcpu, TIME_STAMP_COUNTER, then.wrapping_add(passed.cycles(self.tsc_khz))),
            None => Ok(()),
        }
    }

    fn give_nested(&self, vm: &VmFd, vcpu: &VcpuFd) -> Result<(), StateError> {
        let Some(Bytes(bytes)) = &self.nested else { return Ok(()) };
        if vm.check_extension_raw(KVM_CAP_NESTED_STATE.into()) <= 0 {
            if is_idle(bytes) {
                return Ok(());
            }
            return Err(StateError::Lacks("nested virtualization (KVM_CAP_NESTED_STATE)"));
        }
        let mut state = KvmNestedStateBuffer::empty();
        let room = state.as_mut_bytes().get_mut(..bytes.len());
        room.ok_or(StateError::Wrong("nested state is longer than any KVM's"))?.copy_from_slice(bytes);
        if usize::try_from(state.size).ok() != Some(bytes.len()) {
            return Err(StateError::Wrong("nested state does not have the size that it tells"));
        }
        Ok(vcpu.set_nested_state(&state).map_err(kvm("KVM_SET_NESTED_STATE"))?)
    }

    /// The debug registers of the running guest. KVM sets DR7 in the VMCB in use; if the DR7 it returned had no breakpoints, it was not
    /// that of SVM's nested guest.
    fn whole_debug_regs(&self, memory: &GuestRam) -> kvm_debugregs {
        let mut regs = self.debug_regs.0;
        if regs.dr7 & BREAKPOINTS == 0
            && let Some(dr7) = self.nested.as_ref().and_then(|nested| vmcb::dr7(&nested.0, memory))
        {
            regs.dr7 |= dr7;
        }
        regs
    }

    /// The events, with the flags without which KVM ignores some of them.
    fn whole_events(&self) -> kvm_vcpu_events {
        let mut events = self.events.0;
        events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
        if self.mp_state.0.mp_state == KVM_MP_STATE_SIPI_RECEIVED {
            events.flags |= KVM_VCPUEVENT_VALID_SIPI_VECTOR;
        }
        events
    }
}

impl Sregs {
    fn read(vm: &VmFd, vcpu: &VcpuFd) -> Result<Self, StateError> {
        if has_sregs2(vm) {
            return Ok(Self::Sregs2(Raw(ioctls::sregs2(vcpu).map_err(kvm("KVM_GET_SREGS2"))?)));
        }
        Ok(Self::Sregs(Raw(vcpu.get_sregs().map_err(kvm("KVM_GET_SREGS"))?)))
    }

    fn give(&self, vm: &VmFd, vcpu: &VcpuFd) -> Result<(), StateError> {
        match self {
            Self::Sregs2(_) if !has_sregs2(vm) => return Err(StateError::Lacks("KVM_CAP_SREGS2")),
            Self::Sregs2(sregs) => ioctls::set_sregs2(vcpu, &sregs.0).map_err(kvm("KVM_SET_SREGS2"))?,
            Self::Sregs(sregs) => vcpu.set_sregs(&sregs.0).map_err(kvm("KVM_SET_SREGS"))?,
        }
        Ok(())
    }
}

/// Returns whether nested state is empty: no VMXON, no nested guest, and SVM's global interrupt flag on.
fn is_idle(bytes: &[u8]) -> bool {
    let two = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map(|two| u16::from_le_bytes(*two));
    let (flags, format) = (two(0).map(u32::from), two(2).map(u32::from));
    let vmxon = bytes.get(8..).and_then(<[u8]>::first_chunk).map(|eight| u64::from_le_bytes(*eight));
    bytes.len() <= NESTED_HEADER
        && match format {
            Some(KVM_STATE_NESTED_FORMAT_VMX) => flags == Some(0) && vmxon == Some(u64::MAX),
            Some(KVM_STATE_NESTED_FORMAT_SVM) => flags == Some(KVM_STATE_NESTED_GIF_SET),
            _ => false,
        }
}

fn has_sregs2(vm: &VmFd) -> bool {
    vm.check_extension_raw(KVM_CAP_SREGS2.into()) > 0
}

/// Reads nested state of any size. kvm-ioctls reports none if KVM wrote only the header, but VMXON's address and SVM's GIF are there.
fn read_nested(vm: &VmFd, vcpu: &VcpuFd) -> Result<Option<Bytes>, StateError> {
    if vm.check_extension_raw(KVM_CAP_NESTED_STATE.into()) <= 0 {
        return Ok(None);
    }
    let mut state = KvmNestedStateBuffer::empty();
    vcpu.nested_state(&mut state).map_err(kvm("KVM_GET_NESTED_STATE"))?;
    let len = usize::try_from(state.size).unwrap_or(usize::MAX).min(size_of::<KvmNestedStateBuffer>());
    Ok(Some(Bytes(state.as_bytes()[..len].to_vec())))
}

#[cfg(test)]
#[path = "vcpu_test.rs"]
mod tests;
