//! The CPU that a guest gets: from what the host offers and what the user asked for to CPUID leaves and MSRs.
//!
//! ```text
//! HostCpu ──▶ base Cpuid ──▶ topology ──▶ hypervisor ──▶ restrict ──▶ CpuProfile ──▶ per vCPU ──▶ KVM_SET_CPUID2 ──▶ verify
//!             (KVM's leaves,  └─────── a fold of Patches, each of which says why ──────┘
//!              native ones where KVM has none)
//! ```

pub mod cpuid;
pub mod feature;
pub mod host;
pub mod msr;
pub mod nesting;
pub mod patch;
pub mod profile;
pub mod spec;
pub mod svm;
pub mod topology;
pub mod verify;
pub mod vmx;

mod field;
mod hex;
mod hypervisor;
mod suggest;

use cpuid::Leaf;

/// Why there is no CPU like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// `--cpu` names no CPU.
    #[error("unknown CPU {0:?}: give host-passthrough (or its aliases, host and max)")]
    UnknownModel(String),
    /// A topology with a zero in it.
    #[error("a machine needs at least one vCPU")]
    NoVcpus,
    /// More than APIC ids are planned for.
    #[error("{0} vCPUs are too many: their APIC ids would take more than {max} bits", max = topology::MAX_APIC_ID_BITS)]
    TooManyVcpus(u64),
    /// The host's leaves lack one that everything rests on.
    #[error("the host's CPUID has no leaf {0}")]
    MissingLeaf(Leaf),
    /// More than `KVM_SET_CPUID2` takes.
    #[error("{0} CPUID leaves are more than the {max} that KVM takes", max = profile::MAX_ENTRIES)]
    TooManyLeaves(usize),
}

#[cfg(test)]
#[path = "cpu/testing.rs"]
mod testing;
