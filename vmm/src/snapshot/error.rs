//! Errors of keeping the state of KVM's part of a machine, and of taking it up again.

use thiserror::Error;

use crate::{tsc::TscError, vm::KvmError};

/// The reason why KVM's state can't be read or put back.
#[derive(Debug, Error)]
pub(crate) enum StateError {
    /// KVM refuses an ioctl.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// KVM shows none of a register that it was given a value for.
    #[error("KVM does not show MSR {0:#x}, which the machine was made with")]
    Hidden(u32),
    /// KVM refuses values.
    #[error("KVM refused {0}")]
    Msrs(String),
    /// The rate of the time-stamp counter is another.
    #[error("the guest's TSC ran at {saved} kHz, and would run at {here} kHz here")]
    Rate {
        /// The rate in the snapshot.
        saved: u32,
        /// The rate here.
        here: u32,
        /// The reason why it can't be the same.
        source: TscError,
    },
    /// This KVM can't take up a part of the state.
    #[error("this host's KVM has no {0}, and the guest's state has it")]
    Lacks(&'static str),
    /// A part of the state does not fit this machine.
    #[error("{0}")]
    Wrong(&'static str),
}
