//! The errors of a machine's options.

use std::{io, path::PathBuf};

use arch::cpu::spec::SpecError;
use uuid::Uuid;

use crate::{
    libvirt::XmlError,
    size::{Size, SizeError},
    smp::SmpError,
};

/// An error of the command line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `--cpu`.
    #[error("--cpu")]
    Cpu(#[source] SpecError),
    /// The file of `--cpu file:PATH` can't be read.
    #[error("--cpu file:{}", .0.display())]
    CpuFile(PathBuf, #[source] io::Error),
    /// The file of `--cpu file:PATH` is invalid.
    #[error("--cpu file:{}", .0.display())]
    CpuXml(PathBuf, #[source] XmlError),
    /// The file of `--cpu file:PATH` contains an invalid value for `--cpu`.
    #[error("--cpu file:{}", .0.display())]
    CpuWords(PathBuf, #[source] SpecError),
    /// `--smp 4,cores=2` and a `<topology>` are both given.
    #[error(
        "--smp {0}: the file of --cpu has a <topology>; give only the number of vCPUs, or take the element out"
    )]
    TwoTopologies(String),
    /// `--smp`.
    #[error("--smp {0}")]
    Smp(String, #[source] SmpError),
    /// `--memory`, as a bare size.
    #[error("--memory {0}")]
    Size(String, #[source] SizeError),
    /// `--memory 0`.
    #[error("--memory {0}: a machine needs memory; give an amount such as 512M")]
    NoMemory(String),
    /// `--memory 1K`.
    #[error("--memory {0}: memory comes in pages; give a multiple of {unit}", unit = Size(*.1))]
    OddMemory(String, u64),
    /// `--balloon` with huge pages: the guest might not get a page back, since another process may have taken it from the pool.
    #[error("--balloon: pages of --memory {0} can't be given back; leave out --balloon, or hugepages=on")]
    BalloonHugePages(String),
    /// No option says what to start.
    #[error(
        "there is nothing to start: give a disk with --disk PATH, whose boot loader starts it, or a kernel with --kernel FILE"
    )]
    NothingToStart,
    /// An option that needs another one.
    #[error("{option} goes with {other}")]
    OnlyWith {
        /// The option.
        option: &'static str,
        /// The option that it needs.
        other: &'static str,
    },
    /// An option with an invalid value.
    #[error("{option} {given}: {why}")]
    Keys {
        /// The option's name.
        option: &'static str,
        /// The given value.
        given: String,
        /// The fault in it.
        why: String,
    },
    /// An option with a file that can't be read.
    #[error("{option} {given}: {why}")]
    File {
        /// The option's name.
        option: &'static str,
        /// The given value.
        given: String,
        /// The fault, with the file if the value has more than its path.
        why: String,
    },
    /// `--smbios type=1,uuid=` and `--uuid` differ.
    #[error("--uuid {1}: --smbios gives another, {0}; leave one of them out")]
    TwoUuids(Uuid, Uuid),
}

impl ConfigError {
    /// Returns whether the command line is right, and a file that it names can't be read.
    #[must_use]
    pub fn is_of_file(&self) -> bool {
        matches!(self, Self::File { .. } | Self::CpuFile(..))
    }
}
