//! The rate of a guest's TSC: `tsc-frequency`.

use kvm_ioctls::{Cap, VcpuFd, VmFd};

use crate::ioctls::again;

/// IA32_TIME_STAMP_COUNTER.
pub(crate) const TIME_STAMP_COUNTER: u32 = 0x10;
/// The most by which NTP may correct the host's rate, in parts per million. A guest doesn't notice that much.
const TOLERANCE: u64 = 250;

/// The reason why a guest's TSC can't run at a rate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TscError {
    /// The rate differs from the host's, and KVM can't scale.
    #[error(
        "tsc-frequency={wanted}000: this host's TSC runs at {host}000 Hz, and its KVM can't scale it; give that, or take the word out"
    )]
    NoScaling {
        /// The requested rate in kHz.
        wanted: u32,
        /// The host's rate in kHz.
        host: u32,
    },
    /// KVM can't scale to this rate, or not at all.
    #[error("tsc-frequency={wanted}000: KVM refused it, and runs the TSC at {host}000 Hz")]
    Refused {
        /// The requested rate in kHz.
        wanted: u32,
        /// The host's rate in kHz.
        host: u32,
        /// KVM's answer.
        source: kvm_ioctls::Error,
    },
}

/// Sets a vCPU's TSC to `wanted` kHz, as QEMU does: scaled if KVM can do that, and otherwise only if the rate is close enough to the
/// host's.
pub(crate) fn set_rate(vm: &VmFd, vcpu: &VcpuFd, wanted: u32) -> Result<(), TscError> {
    let host = again(|| vcpu.get_tsc_khz()).unwrap_or_default();
    let scales = vm.check_extension(Cap::TscControl);
    if !scales && !is_near(wanted, host) {
        return Err(TscError::NoScaling { wanted, host });
    }
    match again(|| vcpu.set_tsc_khz(wanted)) {
        Ok(()) => Ok(()),
        Err(_) if host == wanted => Ok(()),
        Err(source) => Err(TscError::Refused { wanted, host, source }),
    }
}

/// Returns whether the rates differ by no more than [`TOLERANCE`].
fn is_near(wanted: u32, host: u32) -> bool {
    u64::from(wanted.abs_diff(host)) * 1_000_000 <= u64::from(host) * TOLERANCE
}

#[cfg(test)]
#[path = "tsc_test.rs"]
mod tests;
