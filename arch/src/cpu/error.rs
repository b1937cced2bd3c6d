//! Errors in choosing a CPU.

use super::{
    address_width::{MAX_PHYSICAL_BITS, MIN_PHYSICAL_BITS},
    apic_id::MAX_APIC_ID_BITS,
    cpuid::{Leaf, MAX_ENTRIES},
    unmet::Unmet,
    vendor::Vendor,
};
use crate::suggest::suggestion;

/// Reasons why there is no CPU like the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// libvirt's `<vendor>` names a maker that is not the host's.
    #[error("this host's processor is not made by {0}")]
    Vendor(Vendor),
    /// `host-model` on a processor whose maker has no models.
    #[error("no named model is like this host: use host-passthrough")]
    NoModel,
    /// Features that can't be given, with `enforce` or libvirt's `require`.
    #[error("this host cannot give {}", list(.0))]
    Unmet(Vec<Unmet>),
    /// Features that can't be given, with libvirt's `check`.
    #[error("this host cannot give {}; with check='none' the guest would start without", list(.0))]
    Checked(Vec<Unmet>),
    /// Features that the host has, with libvirt's `forbid`.
    #[error("this host has what is forbidden: {0}")]
    Forbidden(String),
    /// Features beyond those described, with libvirt's `match='strict'`.
    #[error("this host has more than what is described: {0}")]
    Strict(String),
    /// libvirt's `force` for a feature that KVM gives only if the host has it.
    #[error("{0} can't be forced: KVM gives it only if the host has it")]
    Force(&'static str),
    /// `phys-bits` above the host's width.
    #[error("phys-bits={given}: this host's physical addresses have {host} bits, so give at most that")]
    PhysicalBits {
        /// The value that was given.
        given: u32,
        /// The host's value.
        host: u32,
    },
    /// `guest-phys-bits` above the guest's width.
    #[error(
        "guest-phys-bits={given}: the guest's physical addresses have {width} bits, so give at most that"
    )]
    GuestPhysicalBits {
        /// The value that was given.
        given: u32,
        /// The guest's value.
        width: u32,
    },
    /// `kvm=off` with APIC ids that a guest can reach only by a feature of KVM's.
    #[error(
        "kvm=off: without KVM's leaf Linux starts no CPU whose APIC id is above 254; give fewer vCPUs, or kvm=on"
    )]
    HiddenKvm,
    /// `--nested on` where the host has no VMX or SVM to give.
    #[error(
        "KVM offers guests neither CPUID.01H:ECX[5] (vmx) with its MSRs nor CPUID.80000001H:ECX[2] (svm) with its leaf"
    )]
    NoNesting,
    /// A topology with a count of zero.
    #[error("a machine needs at least one vCPU")]
    NoVcpus,
    /// More vCPUs than APIC ids are planned for.
    #[error("{0} vCPUs are too many: their APIC ids would take more than {max} bits", max = MAX_APIC_ID_BITS)]
    TooManyVcpus(u64),
    /// The host's CPUID lacks a leaf that is always needed.
    #[error("the host's CPUID has no leaf {0}")]
    MissingLeaf(Leaf),
    /// More leaves than `KVM_SET_CPUID2` takes.
    #[error("{0} CPUID leaves are more than the {max} that KVM takes", max = MAX_ENTRIES)]
    TooManyLeaves(usize),
}

/// Joins the features with commas.
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
    /// A property of QEMU's that nvmm lacks.
    #[error("{0}: nvmm does not have this property of QEMU's; take the word out")]
    QemuOnly(String),
    /// Two commas with nothing between them.
    #[error("an empty part in {0:?}: give MODEL,+feature,-feature")]
    Empty(String),
}
