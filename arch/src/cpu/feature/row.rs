//! A row of the table: a feature, and where its bit lives.

use std::fmt;

use crate::cpu::cpuid::{Leaf, Register};

/// A feature: a bit that a CPU has set or clear.
#[derive(Debug, PartialEq, Eq)]
pub struct Feature {
    /// QEMU's name.
    pub name: &'static str,
    /// QEMU's and libvirt's other names for it, apart from those with `_` for `-`.
    pub aliases: &'static [&'static str],
    /// The place of its bit.
    pub place: Place,
    /// The features that this one makes no sense without, by name: if one of them is missing, so is this.
    pub needs: &'static [&'static str],
    /// The features that QEMU switches together with this one, since it has one name for all of them.
    pub with: &'static [&'static str],
    /// The meaning, in a few words.
    pub about: &'static str,
}

/// The place of a feature's bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A bit of a CPUID register.
    Cpuid(Leaf, Register, u32),
    /// A bit of a capability MSR.
    Msr(u32, u32),
    /// A VMX control, which has a bit in both halves of its MSR. The feature is that the control can be either 0 or 1.
    Control(u32, u32),
}

impl Feature {
    /// Makes a row for a bit of a CPUID register.
    pub(super) const fn cpuid(
        leaf: Leaf,
        register: Register,
        bit: u32,
        name: &'static str,
        about: &'static str,
    ) -> Self {
        Self { name, aliases: &[], place: Place::Cpuid(leaf, register, bit), needs: &[], with: &[], about }
    }

    /// Makes a row for a bit of a capability MSR.
    pub(super) const fn msr(index: u32, bit: u32, name: &'static str, about: &'static str) -> Self {
        Self { name, aliases: &[], place: Place::Msr(index, bit), needs: &[], with: &[], about }
    }

    /// Makes a row for a VMX control.
    pub(super) const fn control(index: u32, bit: u32, name: &'static str, about: &'static str) -> Self {
        Self { name, aliases: &[], place: Place::Control(index, bit), needs: &[], with: &[], about }
    }

    /// Adds other names.
    pub(super) const fn alias(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// Adds features that are switched together with this one.
    pub(super) const fn with(self, with: &'static [&'static str]) -> Self {
        Self { with, ..self }
    }

    /// Adds features that this one needs.
    pub(super) const fn needs(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }
}

impl Place {
    /// The manual and the chapter that describe it.
    #[must_use]
    pub fn citation(&self) -> String {
        match self {
            Self::Cpuid(leaf, ..) => match leaf.function {
                0x4000_0000..=0x4fff_ffff => "Linux, Documentation/virt/kvm/x86/cpuid.rst".to_owned(),
                0x8000_0000..=0x8fff_ffff => {
                    let function = leaf.function;
                    let title = "Obtaining Processor Information Via the CPUID Instruction";
                    format!("APM 3, \"{title}\", function {:04X}_{:04X}h", function >> 16, function & 0xffff)
                }
                0xc000_0000.. => "VIA PadLock Programming Guide".to_owned(),
                function => format!("SDM 2A, \"CPUID—CPU Identification\", leaf {function:02X}H"),
            },
            Self::Msr(0x480..=0x491, _) | Self::Control(..) => {
                "SDM 3D, \"VMX Capability Reporting Facility\"".to_owned()
            }
            Self::Msr(..) => "SDM 4, \"Architectural MSRs\"".to_owned(),
        }
    }
}

/// Writes the place as QEMU's warnings do: `CPUID.01H:ECX[5]`, `MSR(48BH)[1]`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpuid(leaf, register, bit) => write!(f, "{leaf}:{register}[{bit}]"),
            Self::Msr(index, bit) | Self::Control(index, bit) => write!(f, "MSR({index:X}H)[{bit}]"),
        }
    }
}
