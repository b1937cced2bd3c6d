//! The kinds of firmware.

use std::fmt;

/// A kind of firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A BIOS.
    Bios,
    /// UEFI.
    Uefi,
}

impl Kind {
    /// The option that selects it.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Bios => "--firmware bios",
            Self::Uefi => "--firmware uefi",
        }
    }

    /// The packages that contain it.
    pub(super) fn packages(self) -> &'static str {
        match self {
            Self::Bios => "Debian: apt install seabios; Fedora: dnf install seabios-bin",
            Self::Uefi => "Debian: apt install ovmf; Fedora: dnf install edk2-ovmf",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bios => "BIOS (SeaBIOS)",
            Self::Uefi => "UEFI (OVMF)",
        })
    }
}
