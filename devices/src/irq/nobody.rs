//! Interrupts without a receiver, for fuzzing devices.

use std::io;

use vmm_sys_util::eventfd::EventFd;

use super::{Line, Msi, MsiMessage};

/// Ignores interrupts.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Line for Nobody {
    fn set(&self, _high: bool) {}
}

impl Msi for Nobody {
    fn set_message(&self, _message: MsiMessage) {}

    fn signal(&self) {}

    fn attach(&self, _event: &EventFd) -> io::Result<()> {
        Ok(())
    }

    fn detach(&self, _event: &EventFd) {}
}
