//! The reasons for which there is no vCPU.

use kvm_ioctls::Error;

use crate::{lost_memory, tsc::TscError, vm::KvmError};

/// Why a vCPU can't be made as planned, or can't go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VcpuError {
    /// KVM refused an ioctl.
    #[error("vCPU {0}")]
    Kvm(u32, #[source] KvmError),
    /// The guest touched memory that the host can't give.
    #[error("vCPU {vcpu}: KVM_RUN: the host lost memory of the guest{}: {}", place(*.at), lost_memory::WAYS)]
    LostMemory {
        /// The vCPU.
        vcpu: u32,
        /// The guest's address, if KVM tells that.
        at: Option<u64>,
        /// KVM's answer, if that is an error.
        source: Option<Error>,
    },
    /// KVM refused a value of an MSR.
    #[error("vCPU {vcpu}: KVM refused {value:#x} for MSR {index:#x}")]
    Msr {
        /// The vCPU.
        vcpu: u32,
        /// The MSR.
        index: u32,
        /// The value.
        value: u64,
    },
    /// KVM took an MSR's value and shows another.
    #[error("vCPU {vcpu}: KVM changed MSR {index:#x}: it is {read:#x} and not {value:#x}")]
    MsrChanged {
        /// The vCPU.
        vcpu: u32,
        /// The MSR.
        index: u32,
        /// The value that was written.
        value: u64,
        /// The value that was read back.
        read: u64,
    },
    /// KVM gave the vCPU another CPUID than it was told.
    #[error("vCPU {vcpu}: KVM changed CPUID: {what}")]
    Cpuid {
        /// The vCPU.
        vcpu: u32,
        /// All the differences.
        what: String,
    },
    /// `tsc-frequency` that can't be had.
    #[error("vCPU {0}")]
    Tsc(u32, #[source] TscError),
    /// Too many leaves.
    #[error("vCPU {0}: more CPUID leaves than KVM takes")]
    TooManyLeaves(u32),
}

fn place(at: Option<u64>) -> String {
    at.map_or_else(String::new, |at| format!(" at {at:#x}"))
}

/// A vCPU, by its number, that can't be stopped between two instructions.
#[derive(Debug, thiserror::Error)]
#[error("vCPU {0} is in an instruction that does not end: save the machine at another moment")]
pub(crate) struct Unsettled(pub(super) u32);
