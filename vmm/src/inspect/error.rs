//! Errors of looking into a machine.

use std::{io, path::PathBuf};

use devices::printable::ToPrintable;
use thiserror::Error;

use crate::{output::OutputError, vm::KvmError};

/// The reason why a question is refused. The message says what to do.
#[derive(Debug, Error)]
pub(crate) enum InspectError {
    /// The index of a vCPU that is not there.
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
    /// No vCPU listens to NMIs.
    #[error(
        "no vCPU takes an NMI: LINT1 of every local APIC is masked or is no NMI (info lapic shows it); \
         nvmm-inject-nmi with a cpu-index does without LINT1"
    )]
    NmiMasked,
    /// A range of addresses that goes past the last.
    #[error("{size} bytes from {start:#x} on go past the last address")]
    Wraps {
        /// The first address.
        start: u64,
        /// The number of bytes.
        size: u64,
    },
    /// A page that the guest has not mapped.
    #[error("vCPU {vcpu} has nothing mapped at {address:#x}")]
    NotMapped {
        /// The vCPU.
        vcpu: u32,
        /// The linear address.
        address: u64,
    },
    /// A physical address that is no RAM.
    #[error("there is no RAM at the physical address {address:#x}; RAM is {ram}")]
    NotRam {
        /// The address.
        address: u64,
        /// The ranges that are RAM.
        ram: String,
    },
    /// A file that is not to be written to.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The host refuses to write.
    #[error("can't write")]
    Write(#[source] io::Error),
    /// It failed on the way.
    #[error("{command} {}: the file was left empty", path.printable())]
    Emptied {
        /// The command.
        command: &'static str,
        /// The path that was given.
        path: PathBuf,
        /// The reason.
        source: Box<InspectError>,
    },
    /// It failed on the way, and emptying the file too.
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
    /// An argument that means nothing here.
    #[error("{0}")]
    Argument(String),
    /// The user asked for nvmm's end meanwhile.
    #[error("nvmm was told to end")]
    Stopped,
}
