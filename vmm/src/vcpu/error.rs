//! The reasons why a vCPU can't be created or can't go on.

use kvm_ioctls::Error;

use crate::{lost_memory, tsc::TscError, vm::KvmError};

/// The reason why a vCPU can't be created as planned, or can't go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VcpuError {
    /// KVM refused an ioctl.
    #[error("vCPU {0}")]
    Kvm(u32, #[source] KvmError),
    /// The guest accessed memory that the host can't provide.
    #[error("vCPU {vcpu}: KVM_RUN: the host lost memory of the guest{}: {}", place(*.at), lost_memory::WAYS)]
    LostMemory {
        /// The vCPU.
        vcpu: u32,
        /// The guest-physical address, if KVM returns it.
        at: Option<u64>,
        /// KVM's error, if it returned one.
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
    /// KVM accepted an MSR's value, but returns another.
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
    /// KVM changed the vCPU's CPUID.
    #[error("vCPU {vcpu}: KVM changed CPUID: {what}")]
    Cpuid {
        /// The vCPU.
        vcpu: u32,
        /// All the differences.
        what: String,
    },
    /// The value of `tsc-frequency` is not possible.
    #[error("vCPU {0}")]
    Tsc(u32, #[source] TscError),
    /// Too many CPUID leaves.
    #[error("vCPU {0}: more CPUID leaves than KVM takes")]
    TooManyLeaves(u32),
}

fn place(at: Option<u64>) -> String {
    at.map_or_else(String::new, |at| format!(" at {at:#x}"))
}

/// The vCPU of this index can't be stopped between two instructions.
#[derive(Debug, thiserror::Error)]
#[error("vCPU {0} is in an instruction that does not end: save the machine at another moment")]
pub(crate) struct Unsettled(pub(super) u32);
