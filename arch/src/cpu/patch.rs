//! Changes to CPUID, each with the reason for it.

use std::fmt;

use serde::{Serialize, Serializer};

pub use super::field::Field;
use super::{
    cpuid::{Cpuid, Leaf, Register, Registers},
    feature::Place,
};

/// The source of a value, or the reason for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The host, whose value is kept.
    Host,
    /// The named model.
    Model(&'static str),
    /// The user, who named the feature.
    Feature,
    /// A word of `--cpu` that hides it: `kvm=off`, `pmu=off`, `level`.
    Word(&'static str),
    /// The named feature, which the changed one needs, is missing.
    Needs(&'static str),
    /// The machine's sockets, dies, cores and threads.
    Topology,
    /// The hypervisor itself.
    Hypervisor,
    /// The feature can't be granted, for this reason.
    Restrict(&'static str),
    /// The vCPU's own number.
    Vcpu,
}

/// A value for a field of CPUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The register, or the MSR's half.
    pub field: Field,
    /// The value.
    pub value: u32,
    /// The reason.
    pub why: Why,
}

/// A value that is not simply KVM's, for a person to read: `CPUID.01H:ECX[31] hypervisor = 0x1 (hypervisor; KVM has 0x0)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The place of the value.
    pub place: At,
    /// The manual's name for it.
    pub name: &'static str,
    /// The value that the guest gets.
    pub value: u64,
    /// The value that KVM would have given.
    pub host: u64,
    /// The source of the value.
    pub why: Why,
}

/// The place where a decision shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In bits of CPUID.
    Bits(Field),
    /// In a feature's bit.
    Feature(Place),
    /// In a whole MSR.
    Msr(u32),
}

impl Patch {
    /// Applies the patch, and returns the decision.
    pub(super) fn apply(&self, cpuid: &mut Cpuid) -> Decision {
        let host = self.field.get(cpuid);
        self.field.set(cpuid, self.value);
        Decision {
            place: At::Bits(self.field),
            name: self.field.name,
            value: self.value.into(),
            host: host.into(),
            why: self.why,
        }
    }
}

/// Applies patches, and keeps the decisions that changed something.
pub(super) fn apply(cpuid: &mut Cpuid, patches: &[Patch], decisions: &mut Vec<Decision>) {
    let made = patches.iter().map(|patch| patch.apply(cpuid));
    decisions.extend(made.filter(|decision| decision.value != decision.host));
}

/// Removes functions, and records for each register its old value and the word that hides it.
pub(super) fn hide(
    cpuid: &mut Cpuid,
    functions: &[u32],
    (name, word): (&'static str, &'static str),
    decisions: &mut Vec<Decision>,
) {
    for &function in functions {
        let patch = |(leaf, _): (Leaf, Registers)| {
            let field = move |register| Field { leaf, ..Field::new(0, register, 31, 0, name) };
            Register::ALL.map(|register| Patch { field: field(register), value: 0, why: Why::Word(word) })
        };
        let patches: Vec<_> = cpuid.function(function).flat_map(patch).collect();
        if !patches.is_empty() {
            apply(cpuid, &patches, decisions);
            cpuid.remove(function);
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bits(field) => field.fmt(f),
            Self::Feature(place) => place.fmt(f),
            Self::Msr(index) => write!(f, "MSR {index:#x}"),
        }
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, name, value, host, why } = self;
        write!(f, "{place} {name} = {value:#x} ({why}")?;
        if value != host {
            write!(f, "; KVM has {host:#x}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Model(name) | Self::Word(name) => name,
            Self::Feature => "asked for",
            Self::Needs(feature) => return write!(f, "needs {feature}"),
            Self::Topology => "topology",
            Self::Hypervisor => "hypervisor",
            Self::Restrict(reason) => reason,
            Self::Vcpu => "vcpu",
        })
    }
}

impl Serialize for Why {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
