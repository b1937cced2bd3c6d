//! Makers of CPUs, and whose manual describes a CPU.

use std::fmt;

/// The maker of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD.
    Amd,
    /// Hygon, who builds AMD's Zen under a family of its own.
    Hygon,
    /// Zhaoxin, and Centaur before it.
    Zhaoxin,
    /// Somebody else. No named model is theirs.
    Other,
}

/// Whose manual tells how the leaves of a CPU are laid out, and what its features need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manual {
    /// The SDM.
    Intel,
    /// The APM.
    Amd,
}

impl Vendor {
    /// By the twelve letters that CPUID has for it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "GenuineIntel" => Self::Intel,
            "AuthenticAMD" => Self::Amd,
            "HygonGenuine" => Self::Hygon,
            "CentaurHauls" | "  Shanghai  " => Self::Zhaoxin,
            _ => Self::Other,
        }
    }
}

/// As people call it.
impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intel => "Intel",
            Self::Amd => "AMD",
            Self::Hygon => "Hygon",
            Self::Zhaoxin => "Zhaoxin",
            Self::Other => "an unknown maker",
        })
    }
}
