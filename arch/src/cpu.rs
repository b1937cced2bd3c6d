//! The CPU that a guest gets: from what the host offers and what the user asked for to CPUID leaves and MSRs.
//!
//! ```text
//! HostCpu ──▶ Offer ──┬──▶ Choice ──────▶ start ──▶ features ──▶ derived leaves ──▶ topology ──▶ CpuProfile ──▶ per vCPU
//!  (KVM's leaves,     │    (base, +a, -b,   (the model's leaves,                                     │
//!   and native ones)  │     needs, what the  or the host's)                                          ▼
//! CpuSpec ────────────┘     host can give)                              KVM_SET_CPUID2, KVM_SET_MSRS ──▶ verify
//! ```
//!
//! Whatever is not simply KVM's answer is a `Decision` that says who made it.

pub mod capabilities;
pub mod choice;
pub mod cpuid;
pub mod feature;
pub mod host;
pub mod identity;
pub mod model;
pub mod msr;
pub mod nesting;
pub mod patch;
pub mod profile;
pub mod sets;
pub mod spec;
pub mod svm;
pub mod topology;
pub mod verify;
pub mod vmx;

mod clock;
mod derive;
mod field;
mod hex;
mod host_model;
mod hypervisor;
mod l3;
mod leaves;
mod machine_check;
mod offer;
mod pmu;
mod suggest;
mod vcpu_msrs;
mod xsave;

use choice::Unmet;
use cpuid::Leaf;
use host::Vendor;

/// Why there is no CPU like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// `<vendor>`.
    #[error("this host's processor is not made by {0}")]
    Vendor(Vendor),
    /// `host-model` on a processor by a maker without models.
    #[error("no named model is like this host: use host-passthrough")]
    NoModel,
    /// `enforce`, and `require`.
    #[error("this host cannot give {}", list(.0))]
    Unmet(Vec<Unmet>),
    /// libvirt's `check`.
    #[error("this host cannot give {}; with check='none' the guest would start without", list(.0))]
    Checked(Vec<Unmet>),
    /// `forbid`.
    #[error("this host has what is forbidden: {0}")]
    Forbidden(String),
    /// `match='strict'`.
    #[error("this host has more than what is described: {0}")]
    Strict(String),
    /// `force` where KVM has the last word.
    #[error("{0} can't be forced: KVM keeps to what it offers")]
    Force(&'static str),
    /// `phys-bits`.
    #[error("phys-bits={given}: this host's physical addresses have {host} bits, so give at most that")]
    PhysicalBits {
        /// What was given.
        given: u32,
        /// What the host has.
        host: u32,
    },
    /// `guest-phys-bits`.
    #[error(
        "guest-phys-bits={given}: the guest's physical addresses have {width} bits, so give at most that"
    )]
    GuestPhysicalBits {
        /// What was given.
        given: u32,
        /// What the guest has.
        width: u32,
    },
    /// `kvm=off` with APIC ids that a guest reaches only by a feature of KVM's.
    #[error(
        "kvm=off: without KVM's leaf Linux starts no CPU whose APIC id is above 254; give fewer vCPUs, or kvm=on"
    )]
    HiddenKvm,
    /// `--nested on`.
    #[error(
        "KVM offers guests neither CPUID.01H:ECX[5] (vmx) with its MSRs nor CPUID.80000001H:ECX[2] (svm) with its leaf"
    )]
    NoNesting,
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

/// The features, with commas.
fn list(unmet: &[Unmet]) -> String {
    unmet.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "cpu/testing.rs"]
pub(crate) mod testing;

#[cfg(test)]
#[path = "cpu/properties_test.rs"]
mod properties;
