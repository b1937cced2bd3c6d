//! KVM's ioctls that kvm-ioctls has no methods for.
#![expect(unsafe_code, reason = "ioctls that no crate has")]

use kvm_bindings::KVMIO;
use kvm_ioctls::{Error, VmFd};
use libc::{c_int, c_ulong};
use vmm_sys_util::ioctl::{_IOC_NONE, ioctl_expr, ioctl_with_val};

/// `_IO(KVMIO, 0xa2)`.
const KVM_SET_TSC_KHZ: c_ulong = ioctl_expr(_IOC_NONE, KVMIO, 0xa2, 0);

/// Sets the TSC rate, in kHz, of the vCPUs that are made afterwards; 0 is the host's rate of now. Older kernels know it for vCPUs alone.
pub(crate) fn set_tsc_khz(vm: &VmFd, khz: u32) -> Result<(), Error> {
    // SAFETY: takes a number.
    answer(unsafe { ioctl_with_val(vm, KVM_SET_TSC_KHZ, c_ulong::from(khz)) })
}

fn answer(returned: c_int) -> Result<(), Error> {
    if returned < 0 { Err(Error::last()) } else { Ok(()) }
}

#[cfg(test)]
#[path = "ioctls_test.rs"]
mod tests;
