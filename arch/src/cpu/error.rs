//! Why there is no CPU like the one that was asked for.

use super::{
    address_width::{MAX_PHYSICAL_BITS, MIN_PHYSICAL_BITS},
    apic_id::MAX_APIC_ID_BITS,
    cpuid::{Leaf, MAX_ENTRIES},
    unmet::Unmet,
    vendor::Vendor,
};
use crate::suggest::suggestion;

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
        /// The value that was given.
        given: u32,
        /// The host's value.
        host: u32,
    },
    /// `guest-phys-bits`.
    #[error(
        "guest-phys-bits={given}: the guest's physical addresses have {width} bits, so give at most that"
    )]
    GuestPhysicalBits {
        /// The value that was given.
        given: u32,
        /// The guest's value.
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
    #[error("{0} vCPUs are too many: their APIC ids would take more than {max} bits", max = MAX_APIC_ID_BITS)]
    TooManyVcpus(u64),
    /// The host's leaves lack one that everything rests on.
    #[error("the host's CPUID has no leaf {0}")]
    MissingLeaf(Leaf),
    /// More than `KVM_SET_CPUID2` takes.
    #[error("{0} CPUID leaves are more than the {max} that KVM takes", max = MAX_ENTRIES)]
    TooManyLeaves(usize),
}

/// The features, with commas.
fn list(unmet: &[Unmet]) -> String {
    unmet.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// An error in the words of `--cpu`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The first word names no CPU.
    #[error("unknown CPU {given:?}{}: `nvmm cpu list` shows all", suggestion(.nearest))]
    Model {
        /// The value that was given.
        given: String,
        /// The name that may have been meant.
        nearest: Vec<&'static str>,
    },
    /// A further word names no feature.
    #[error("unknown CPU feature {given:?}{}: `nvmm cpu list` shows all", suggestion(.nearest))]
    Feature {
        /// The value that was given.
        given: String,
        /// The name that may have been meant.
        nearest: Vec<&'static str>,
    },
    /// `feature=maybe`.
    #[error("{name}={value}: give on or off")]
    Switch {
        /// The feature or property.
        name: String,
        /// The value that was given.
        value: String,
    },
    /// `family=300`.
    #[error("{name}={value}: give {allowed}")]
    Value {
        /// The property.
        name: String,
        /// The value that was given.
        value: String,
        /// The values that can be given.
        allowed: &'static str,
    },
    /// `family`, and nothing behind it.
    #[error("{name}: give {name}=VALUE, {allowed}")]
    NoValue {
        /// The property.
        name: String,
        /// The values that can be given.
        allowed: &'static str,
    },
    /// `phys-bits=100`.
    #[error("{name}={value}: give a number from {MIN_PHYSICAL_BITS} to {MAX_PHYSICAL_BITS}")]
    PhysicalBits {
        /// The property.
        name: String,
        /// The value that was given.
        value: String,
    },
    /// `hv-relaxed`.
    #[error("{0}: nvmm has no Hyper-V enlightenments, which make Windows faster; take the word out")]
    HyperV(String),
    /// A word that QEMU has for other uses.
    #[error("{0}: nvmm does not have this property of QEMU's; take the word out")]
    QemuOnly(String),
    /// Nothing between two commas.
    #[error("an empty part in {0:?}: give MODEL,+feature,-feature")]
    Empty(String),
}
