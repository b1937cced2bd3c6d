//! The CPU in the user's words.

use std::{fmt, str::FromStr};

use super::CpuError;

/// `--cpu`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSpec {
    /// The CPU to start from.
    pub model: Model,
}

/// A CPU to start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// All that KVM offers on this host.
    #[default]
    HostPassthrough,
}

impl FromStr for CpuSpec {
    type Err = CpuError;

    fn from_str(text: &str) -> Result<Self, CpuError> {
        match text {
            "host-passthrough" | "host" | "max" => Ok(Self { model: Model::HostPassthrough }),
            _ => Err(CpuError::UnknownModel(text.to_owned())),
        }
    }
}

impl fmt::Display for CpuSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.model {
            Model::HostPassthrough => "host-passthrough",
        })
    }
}
