//! The features by which a guest can run guests of its own.

use std::{collections::BTreeMap, fmt, str::FromStr};

use bitflags::Flags;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};

use super::{
    capabilities::Capabilities,
    cpuid::{Cpuid, Leaf, Register},
    field::Field,
    patch::{Patch, Why},
    svm, vmx,
};

pub(super) const VMX: Field = Field::bit(0x1, Register::Ecx, 5, "vmx");
pub(super) const SVM: Field = Field::bit(0x8000_0001, Register::Ecx, 2, "svm");

/// The kinds of hardware virtualization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Virtualization {
    /// Intel's.
    Vmx,
    /// AMD's.
    Svm,
}

/// The text names no kind of virtualization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give vmx or svm")]
pub struct UnknownVirtualization;

impl Virtualization {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Vmx, Self::Svm];

    /// The name of its feature: `vmx` or `svm`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vmx => "vmx",
            Self::Svm => "svm",
        }
    }

    /// Linux's module that makes KVM work with it.
    #[must_use]
    pub const fn module(self) -> &'static str {
        match self {
            Self::Vmx => "kvm_intel",
            Self::Svm => "kvm_amd",
        }
    }

    /// The instruction with which a hypervisor begins to use it.
    #[must_use]
    pub const fn instruction(self) -> &'static str {
        match self {
            Self::Vmx => "VMXON",
            Self::Svm => "VMRUN",
        }
    }
}

/// `VMX` or `SVM`.
impl fmt::Display for Virtualization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vmx => "VMX",
            Self::Svm => "SVM",
        })
    }
}

/// Parses a [`Virtualization::name`].
impl FromStr for Virtualization {
    type Err = UnknownVirtualization;

    fn from_str(name: &str) -> Result<Self, UnknownVirtualization> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownVirtualization)
    }
}

/// The features by which a guest can run guests of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// Nothing.
    None,
    /// VMX, with these controls.
    Vmx(vmx::SecondaryControls),
    /// SVM, with these features.
    Svm(svm::Features),
}

impl Nesting {
    /// Reads the features from a CPU's leaves and MSRs, to which [`whole`] has been applied.
    pub(super) fn of(cpu: &Capabilities) -> Self {
        if VMX.get(&cpu.cpuid) == 1 {
            Self::Vmx(vmx::secondary_controls(&cpu.msrs).unwrap_or(vmx::SecondaryControls::empty()))
        } else if SVM.get(&cpu.cpuid) == 1 {
            Self::Svm(svm::Features::from_bits_truncate(cpu.cpuid.get(Leaf::new(svm::FUNCTION)).edx))
        } else {
            Self::None
        }
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> Option<Virtualization> {
        match self {
            Self::None => None,
            Self::Vmx(_) => Some(Virtualization::Vmx),
            Self::Svm(_) => Some(Virtualization::Svm),
        }
    }

    /// `none`, `vmx` or `svm`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind().map_or("none", Virtualization::name)
    }

    /// Names of the features: `ept`, `npt`, `unrestricted-guest` ...
    #[must_use]
    pub fn features(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::Vmx(controls) => names(controls),
            Self::Svm(features) => names(features),
        }
    }
}

/// The changes to `cpuid` after which it has either all of VMX or SVM, or nothing of it.
///
/// CPUID has a bit for each of the two, and describes them elsewhere. A guest that sees one without the other crashes.
pub(super) fn whole(cpuid: &Cpuid, msrs: &BTreeMap<u32, u64>) -> Vec<Patch> {
    let mut patches = Vec::new();
    let mut refuse = |field, reason| patches.push(Patch { field, value: 0, why: Why::Restrict(reason) });
    if VMX.get(cpuid) == 1 && vmx::secondary_controls(msrs).is_none() {
        refuse(VMX, "KVM has no VMX capability MSRs");
    }
    match (SVM.get(cpuid) == 1, cpuid.get(Leaf::new(svm::FUNCTION)).is_zero()) {
        (true, true) => refuse(SVM, "KVM has no SVM feature leaf"),
        (false, false) => {
            for register in Register::ALL {
                refuse(Field::new(svm::FUNCTION, register, 31, 0, "svm features"), "KVM has no SVM");
            }
        }
        _ => {}
    }
    patches
}

/// Names of the flags, spelled as in QEMU.
fn names<F: Flags>(flags: &F) -> Vec<String> {
    flags.iter_names().map(|(name, _)| name.to_ascii_lowercase().replace('_', "-")).collect()
}

/// `vmx (ept, vpid, unrestricted-guest)`.
impl fmt::Display for Nesting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let features = self.features();
        if features.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", features.join(", "))
    }
}

impl Serialize for Nesting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut nesting = serializer.serialize_struct("Nesting", 2)?;
        nesting.serialize_field("kind", self.name())?;
        nesting.serialize_field("features", &self.features())?;
        nesting.end()
    }
}

#[cfg(test)]
#[path = "nesting_test.rs"]
mod tests;
