//! Errors of saving and restoring the state that KVM holds for a machine.

use thiserror::Error;

use crate::{tsc::TscError, vm::KvmError};

/// The reason why KVM's state can't be saved or restored.
#[derive(Debug, Error)]
pub(crate) enum StateError {
    /// KVM refuses an ioctl.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// KVM doesn't list an MSR that it was given a value for.
    #[error("KVM does not show MSR {0:#x}, which the machine was made with")]
    Hidden(u32),
    /// KVM refuses values.
    #[error("KVM refused {0}")]
    Msrs(String),
    /// The guest's TSC would run at another rate.
    #[error("the guest's TSC ran at {saved} kHz, and would run at {here} kHz here")]
    Rate {
        /// The rate in the snapshot.
        saved: u32,
        /// The rate here.
        here: u32,
        /// The reason why the rate can't be set.
        source: TscError,
    },
    /// This host's KVM lacks a feature that a part of the state needs.
    #[error("this host's KVM has no {0}, and the guest's state has it")]
    Lacks(&'static str),
    /// A part of the state doesn't fit this machine.
    #[error("{0}")]
    Wrong(&'static str),
}
