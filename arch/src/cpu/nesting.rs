//! Whether the guest can run guests of its own, and how well.

use std::{collections::BTreeMap, fmt};

use bitflags::Flags;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    cpuid::{Cpuid, Leaf, Register},
    field::Field,
    patch::{Patch, Why},
    svm, vmx,
};

pub(super) const VMX: Field = Field::bit(0x1, Register::Ecx, 5, "vmx");
pub(super) const SVM: Field = Field::bit(0x8000_0001, Register::Ecx, 2, "svm");

/// What the guest has for guests of its own.
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
    /// What `cpuid` and `msrs` allow, and what must change in `cpuid` to say no more than that.
    ///
    /// Each of VMX and SVM is announced by a bit and described elsewhere. A guest that sees one half without the other crashes, so the two
    /// are decided on together.
    pub(super) fn decide(cpuid: &Cpuid, msrs: &BTreeMap<u32, u64>) -> (Self, Vec<Patch>) {
        let mut nesting = Self::None;
        let mut patches = Vec::new();
        match (VMX.get(cpuid) == 1, vmx::secondary_controls(msrs)) {
            (true, Some(controls)) => nesting = Self::Vmx(controls),
            (true, None) => patches.push(Patch {
                field: VMX,
                value: 0,
                why: Why::Restrict("KVM has no VMX capability MSRs"),
            }),
            (false, _) => {}
        }
        let description = cpuid.get(Leaf::new(svm::FUNCTION));
        match (SVM.get(cpuid) == 1, !description.is_zero()) {
            (true, true) => nesting = Self::Svm(svm::Features::from_bits_truncate(description.edx)),
            (true, false) => patches.push(Patch {
                field: SVM,
                value: 0,
                why: Why::Restrict("KVM has no SVM feature leaf"),
            }),
            (false, true) => patches.extend(Register::ALL.map(|register| Patch {
                field: Field::new(svm::FUNCTION, register, 31, 0, "svm features"),
                value: 0,
                why: Why::Restrict("KVM has no SVM"),
            })),
            (false, false) => {}
        }
        (nesting, patches)
    }

    /// `none`, `vmx` or `svm`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Vmx(_) => "vmx",
            Self::Svm(_) => "svm",
        }
    }

    /// Its features: `ept`, `npt`, `unrestricted-guest` ...
    #[must_use]
    pub fn features(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::Vmx(controls) => names(controls),
            Self::Svm(features) => names(features),
        }
    }
}

/// Spelled as QEMU does.
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
