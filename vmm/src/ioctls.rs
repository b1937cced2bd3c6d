//! KVM's ioctls that kvm-ioctls lacks, and helpers for all ioctls.
#![expect(unsafe_code, reason = "ioctls that no crate has")]

use kvm_bindings::{
    KVM_SREGS2_FLAGS_PDPTRS_VALID, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, KVMIO, kvm_device_attr,
    kvm_dtable, kvm_segment,
};
use kvm_ioctls::{Error, Kvm, VcpuFd, VmFd};
use libc::{c_int, c_ulong};
use vmm_sys_util::ioctl::{
    _IOC_NONE, _IOC_READ, _IOC_WRITE, ioctl_expr, ioctl_with_mut_ref, ioctl_with_ref, ioctl_with_val,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `_IO(KVMIO, 0xa2)`.
const KVM_SET_TSC_KHZ: c_ulong = ioctl_expr(_IOC_NONE, KVMIO, 0xa2, 0);
/// `_IOW(KVMIO, 0x9c, __u64)`.
const KVM_X86_SETUP_MCE: c_ulong = ioctl_expr(_IOC_WRITE, KVMIO, 0x9c, 8);
/// `_IOR(KVMIO, 0x9d, __u64)`.
const KVM_X86_GET_MCE_CAP_SUPPORTED: c_ulong = ioctl_expr(_IOC_READ, KVMIO, 0x9d, 8);

/// `_IOR(KVMIO, 0xcc, struct kvm_sregs2)`.
const KVM_GET_SREGS2: c_ulong = ioctl_expr(_IOC_READ, KVMIO, 0xcc, 320);
/// `_IOW(KVMIO, 0xcd, struct kvm_sregs2)`.
const KVM_SET_SREGS2: c_ulong = ioctl_expr(_IOC_WRITE, KVMIO, 0xcd, 320);
/// `_IOW(KVMIO, 0xe1, struct kvm_device_attr)`.
const KVM_SET_DEVICE_ATTR: c_ulong = ioctl_expr(_IOC_WRITE, KVMIO, 0xe1, 24);
/// `_IOW(KVMIO, 0xe2, struct kvm_device_attr)`.
const KVM_GET_DEVICE_ATTR: c_ulong = ioctl_expr(_IOC_WRITE, KVMIO, 0xe2, 24);

/// `struct kvm_sregs2`: segment and control registers with the PDPTEs. Unlike `kvm_sregs`, it has no pending interrupt.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, Immutable, IntoBytes)]
pub(crate) struct Sregs2 {
    /// CS, DS, ES, FS, GS, SS, TR and LDTR.
    segments: [kvm_segment; 8],
    /// GDTR and IDTR.
    tables: [kvm_dtable; 2],
    /// CR0, CR2, CR3, CR4 and CR8.
    control: [u64; 5],
    efer: u64,
    apic_base: u64,
    flags: u64,
    pdptes: [u64; 4],
}

/// Repeats an ioctl as long as a signal interrupts it. `KVM_RUN` is interrupted on purpose. Other ioctls can be interrupted where the
/// kernel waits and checks for signals, as `KVM_CREATE_VM` does for locks of the process's memory: SIGSTOP and SIGCONT are enough.
pub(crate) fn again<T>(mut ioctl: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match ioctl() {
            Err(error) if error.errno() == libc::EINTR => {}
            answer => return answer,
        }
    }
}

/// Sets the TSC rate, in kHz, for vCPUs that are made afterwards; 0 is the host's current rate. Older kernels only support this for a vCPU.
pub(crate) fn set_tsc_khz(vm: &VmFd, khz: u32) -> Result<(), Error> {
    // SAFETY: the call takes a number.
    answer(unsafe { ioctl_with_val(vm, KVM_SET_TSC_KHZ, c_ulong::from(khz)) })
}

/// The bits of IA32_MCG_CAP that KVM supports, without the number of banks (`KVM_CAP_MCE`).
pub(crate) fn supported_mcg_cap(kvm: &Kvm) -> Result<u64, Error> {
    let mut cap = 0_u64;
    // SAFETY: KVM writes eight bytes, and `cap` has them.
    answer(unsafe { ioctl_with_mut_ref(kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &mut cap) })?;
    Ok(cap)
}

/// Sets a vCPU's IA32_MCG_CAP, with all of its machine-check banks enabled.
pub(crate) fn setup_mce(vcpu: &VcpuFd, mcg_cap: u64) -> Result<(), Error> {
    // SAFETY: KVM reads eight bytes, and `mcg_cap` has them.
    answer(unsafe { ioctl_with_ref(vcpu, KVM_X86_SETUP_MCE, &mcg_cap) })
}

/// The PDPTE registers of a vCPU; none unless it uses PAE paging. Linux before 5.14 does not return them.
pub(crate) fn pdptes(vcpu: &VcpuFd) -> Result<Option<[u64; 4]>, Error> {
    let sregs = sregs2(vcpu)?;
    let valid = sregs.flags & u64::from(KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0;
    Ok(valid.then_some(sregs.pdptes))
}

/// The segment and control registers of a vCPU. Linux before 5.14 lacks this form.
pub(crate) fn sregs2(vcpu: &VcpuFd) -> Result<Sregs2, Error> {
    let mut sregs = Sregs2::default();
    // SAFETY: KVM writes a `kvm_sregs2`, which `sregs` has the layout of.
    answer(unsafe { ioctl_with_mut_ref(vcpu, KVM_GET_SREGS2, &mut sregs) })?;
    Ok(sregs)
}

/// Sets the segment and control registers of a vCPU.
pub(crate) fn set_sregs2(vcpu: &VcpuFd, sregs: &Sregs2) -> Result<(), Error> {
    // SAFETY: KVM reads a `kvm_sregs2`, which `sregs` has the layout of.
    answer(unsafe { ioctl_with_ref(vcpu, KVM_SET_SREGS2, sregs) })
}

/// The number that KVM adds to the host's TSC for the guest. Linux before 5.16 does not return it.
pub(crate) fn tsc_offset(vcpu: &VcpuFd) -> Result<u64, Error> {
    let mut offset = 0_u64;
    let attribute = tsc_offset_at((&raw mut offset).expose_provenance());
    // SAFETY: KVM writes eight bytes at the address, which are those of `offset`.
    answer(unsafe { ioctl_with_ref(vcpu, KVM_GET_DEVICE_ATTR, &attribute) })?;
    Ok(offset)
}

/// Sets that number.
pub(crate) fn set_tsc_offset(vcpu: &VcpuFd, offset: u64) -> Result<(), Error> {
    let attribute = tsc_offset_at((&raw const offset).expose_provenance());
    // SAFETY: KVM reads eight bytes at the address, which are those of `offset`.
    answer(unsafe { ioctl_with_ref(vcpu, KVM_SET_DEVICE_ATTR, &attribute) })
}

fn tsc_offset_at(address: usize) -> kvm_device_attr {
    kvm_device_attr {
        flags: 0,
        group: KVM_VCPU_TSC_CTRL,
        attr: KVM_VCPU_TSC_OFFSET.into(),
        addr: address as u64,
    }
}

fn answer(returned: c_int) -> Result<(), Error> {
    if returned < 0 { Err(Error::last()) } else { Ok(()) }
}

#[cfg(test)]
#[path = "ioctls_test.rs"]
mod tests;
