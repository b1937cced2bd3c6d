//! Makers of CPUs, and the manuals that describe their CPUs.

use std::fmt;

/// The maker of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD.
    Amd,
    /// Hygon, which builds AMD's Zen under a family number of its own.
    Hygon,
    /// Zhaoxin, and Centaur before it.
    Zhaoxin,
    /// Another maker. It has no named models.
    Other,
}

/// The manual that defines the layout of a CPU's leaves, and the needs of its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manual {
    /// The SDM.
    Intel,
    /// The APM.
    Amd,
}

impl Vendor {
    /// Finds the maker by its twelve letters in CPUID.
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

/// Writes the maker's usual name.
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
