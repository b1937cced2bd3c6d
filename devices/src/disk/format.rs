//! The formats of disk images that nvmm reads.

use std::str::FromStr;

/// A format of disk images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The file's bytes are the disk's.
    Raw,
    /// QEMU's.
    Qcow2,
    /// VMware's.
    Vmdk,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Qcow2, Self::Vmdk];

    /// The format's name, as in QEMU.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
        }
    }

    /// The format that an image records as `name` for its backing file.
    pub(super) fn recorded(name: &str) -> Option<Self> {
        match name {
            "file" | "host_device" => Some(Self::Raw),
            name => name.parse().ok(),
        }
    }
}

/// Parses a [`Format::name`].
impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or(UnknownFormat)
    }
}

/// The text names no format that nvmm reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give raw, qcow2 or vmdk")]
pub struct UnknownFormat;

#[cfg(test)]
#[path = "format_test.rs"]
mod tests;
