//! Snapshots: a machine's state, as it is kept and taken up again.

mod clock;
mod error;
mod msrs;
mod raw;
mod vcpu;
mod vm;

pub(crate) use self::{error::StateError, vcpu::Around, vm::KvmState};
