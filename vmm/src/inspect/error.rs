//! Errors from inspecting a machine.

use std::{io, path::PathBuf};

use devices::printable::ToPrintable;
use thiserror::Error;

use crate::{output::OutputError, vm::KvmError};

/// The reason why a request is refused. The message says what to do.
#[derive(Debug, Error)]
pub(crate) enum InspectError {
    /// There is no vCPU with this index.
    #[error("there is no vCPU {given}: there are {count}, numbered from 0")]
    NoVcpu {
        /// The index that was given.
        given: u32,
        /// The number of vCPUs.
        count: usize,
    },
    /// KVM refused an ioctl of a vCPU.
    #[error("vCPU {0}")]
    Vcpu(u32, #[source] KvmError),
    /// KVM refused an ioctl of the machine.
    #[error("the machine")]
    Vm(#[source] KvmError),
    /// No vCPU accepts NMIs.
    #[error(
        "no vCPU takes an NMI: LINT1 of every local APIC is masked or is no NMI (info lapic shows it); \
         nvmm-inject-nmi with a cpu-index does without LINT1"
    )]
    NmiMasked,
    /// The range goes past the last address.
    #[error("{size} bytes from {start:#x} on go past the last address")]
    Wraps {
        /// The first address.
        start: u64,
        /// The number of bytes.
        size: u64,
    },
    /// The guest has not mapped the page.
    #[error("vCPU {vcpu} has nothing mapped at {address:#x}")]
    NotMapped {
        /// The vCPU.
        vcpu: u32,
        /// The linear address.
        address: u64,
    },
    /// The physical address is not RAM.
    #[error("there is no RAM at the physical address {address:#x}; RAM is {ram}")]
    NotRam {
        /// The address.
        address: u64,
        /// The ranges that are RAM.
        ram: String,
    },
    /// The file must not be written to.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Writing to the file failed.
    #[error("can't write")]
    Write(#[source] io::Error),
    /// The command failed while it was writing.
    #[error("{command} {}: the file was left empty", path.printable())]
    Emptied {
        /// The command.
        command: &'static str,
        /// The path that was given.
        path: PathBuf,
        /// The reason.
        source: Box<InspectError>,
    },
    /// The command failed while it was writing, and emptying the file failed, too.
    #[error("{command} {}: the file holds only a part, and can't be emptied ({error})", path.printable())]
    Partial {
        /// The command.
        command: &'static str,
        /// The path that was given.
        path: PathBuf,
        /// The host's error.
        error: io::Error,
        /// The reason.
        source: Box<InspectError>,
    },
    /// An invalid argument.
    #[error("{0}")]
    Argument(String),
    /// The user has asked nvmm to end.
    #[error("nvmm was told to end")]
    Stopped,
}
