//! The devices of the running machine that wait for time, as an event source.

use std::os::fd::RawFd;

use event_manager::{EventSet, Events};

use crate::{
    attached::Waker,
    source::{Notice, Request, Source},
};

/// Wakes the devices when their time has come.
#[derive(Debug, Default)]
pub(super) struct Wakeups(Vec<Waker>);

impl Source for Wakeups {
    fn watches(&mut self) -> Vec<Events> {
        self.0.iter().map(|device| Events::new_raw(device.wakeup, EventSet::IN)).collect()
    }

    fn ready(&mut self, fd: RawFd, _: &mut Vec<Request>) {
        self.0.iter().filter(|device| device.wakeup == fd).for_each(Waker::wake);
    }

    fn hear(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Runs(attached) => self.0 = attached.wakers.to_vec(),
            Notice::Stops => self.0.clear(),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "wakeups_test.rs"]
mod tests;
