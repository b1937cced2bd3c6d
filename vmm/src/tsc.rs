//! The rate of a guest's TSC: `tsc-frequency`.

use kvm_ioctls::{Cap, VcpuFd, VmFd};

use crate::ioctls::again;

/// IA32_TIME_STAMP_COUNTER.
pub(crate) const TIME_STAMP_COUNTER: u32 = 0x10;
/// By how much NTP may have the host's rate corrected, in millionths. A guest does not notice that much.
const TOLERANCE: u64 = 250;

/// Why a guest's TSC can't run at a rate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TscError {
    /// The rate is another than the host's.
    #[error(
        "tsc-frequency={wanted}000: this host's TSC runs at {host}000 Hz, and its KVM can't scale it; give that, or take the word out"
    )]
    NoScaling {
        /// The rate that was asked for, in kHz.
        wanted: u32,
        /// The rate that there is.
        host: u32,
    },
    /// KVM can scale, but not so far, or not at all.
    #[error("tsc-frequency={wanted}000: KVM refused it, and runs the TSC at {host}000 Hz")]
    Refused {
        /// The rate that was asked for, in kHz.
        wanted: u32,
        /// The rate that there is.
        host: u32,
        /// KVM's answer.
        source: kvm_ioctls::Error,
    },
}

/// Lets a vCPU's TSC run at `wanted` kHz, as QEMU does: scaled where KVM can do that, and otherwise only at a rate that the host's
/// may be taken for.
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

/// Returns whether a rate may be the host's, corrected.
fn is_near(wanted: u32, host: u32) -> bool {
    u64::from(wanted.abs_diff(host)) * 1_000_000 <= u64::from(host) * TOLERANCE
}

#[cfg(test)]
#[path = "tsc_test.rs"]
mod tests;
