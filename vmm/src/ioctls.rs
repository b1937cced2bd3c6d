//! KVM's ioctls that kvm-ioctls has no methods for, and what holds for all of them.
#![expect(unsafe_code, reason = "ioctls that no crate has")]

use kvm_bindings::{KVM_SREGS2_FLAGS_PDPTRS_VALID, KVMIO, kvm_sregs2};
use kvm_ioctls::{Error, Kvm, VcpuFd, VmFd};
use libc::{c_int, c_ulong};
use vmm_sys_util::ioctl::{
    _IOC_NONE, _IOC_READ, _IOC_WRITE, ioctl_expr, ioctl_with_mut_ref, ioctl_with_ref, ioctl_with_val,
};

/// `_IO(KVMIO, 0xa2)`.
const KVM_SET_TSC_KHZ: c_ulong = ioctl_expr(_IOC_NONE, KVMIO, 0xa2, 0);
/// `_IOW(KVMIO, 0x9c, __u64)`.
const KVM_X86_SETUP_MCE: c_ulong = ioctl_expr(_IOC_WRITE, KVMIO, 0x9c, 8);
/// `_IOR(KVMIO, 0x9d, __u64)`.
const KVM_X86_GET_MCE_CAP_SUPPORTED: c_ulong = ioctl_expr(_IOC_READ, KVMIO, 0x9d, 8);

/// `_IOR(KVMIO, 0xcc, struct kvm_sregs2)`.
const KVM_GET_SREGS2: c_ulong = ioctl_expr(_IOC_READ, KVMIO, 0xcc, 320);

/// Asks KVM again for as long as a signal interrupts it. `KVM_RUN` alone is interrupted on purpose; the others are where the kernel looks
/// for a signal while it waits, as `KVM_CREATE_VM` does for the locks of the process's memory: SIGSTOP and SIGCONT are enough.
pub(crate) fn again<T>(mut ioctl: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match ioctl() {
            Err(error) if error.errno() == libc::EINTR => {}
            answer => return answer,
        }
    }
}

/// Sets the TSC rate, in kHz, of the vCPUs that are made afterwards; 0 is the host's rate of now. Older kernels know it for vCPUs alone.
pub(crate) fn set_tsc_khz(vm: &VmFd, khz: u32) -> Result<(), Error> {
    // SAFETY: takes a number.
    answer(unsafe { ioctl_with_val(vm, KVM_SET_TSC_KHZ, c_ulong::from(khz)) })
}

/// The bits of IA32_MCG_CAP that KVM can give, without the number of banks (`KVM_CAP_MCE`).
pub(crate) fn supported_mcg_cap(kvm: &Kvm) -> Result<u64, Error> {
    let mut cap = 0_u64;
    // SAFETY: KVM writes eight bytes, and `cap` has them.
    answer(unsafe { ioctl_with_mut_ref(kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &mut cap) })?;
    Ok(cap)
}

/// Gives a vCPU this IA32_MCG_CAP, and all its machine-check banks switched on.
pub(crate) fn setup_mce(vcpu: &VcpuFd, mcg_cap: u64) -> Result<(), Error> {
    // SAFETY: KVM reads eight bytes, and `mcg_cap` has them.
    answer(unsafe { ioctl_with_ref(vcpu, KVM_X86_SETUP_MCE, &mcg_cap) })
}

/// The PDPTE registers of a vCPU; none unless it has PAE paging. Linux before 5.14 does not tell them.
pub(crate) fn pdptes(vcpu: &VcpuFd) -> Result<Option<[u64; 4]>, Error> {
    let mut sregs = kvm_sregs2::default();
    // SAFETY: KVM writes a `kvm_sregs2`.
    answer(unsafe { ioctl_with_mut_ref(vcpu, KVM_GET_SREGS2, &mut sregs) })?;
    let valid = sregs.flags & u64::from(KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0;
    Ok(valid.then_some(sregs.pdptrs))
}

fn answer(returned: c_int) -> Result<(), Error> {
    if returned < 0 { Err(Error::last()) } else { Ok(()) }
}

#[cfg(test)]
#[path = "ioctls_test.rs"]
mod tests;
