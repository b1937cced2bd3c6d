//! The pointer's way from those who move it to the worker that tells the driver.

use std::{
    collections::VecDeque,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::{
    input::{Pointer, Pointing},
    once::Once,
};

/// The most that wait for the worker. A newer one then takes the last's place.
const MOST: usize = 64;

/// The pointer's changes that the driver was not told of yet. It outlives resets.
#[derive(Debug)]
pub struct Reports {
    state: Mutex<State>,
    /// Written when there is one.
    wake: EventFd,
    pub(super) broken_queue: Once,
}

#[derive(Debug, Default)]
struct State {
    /// The pointer as the driver knows it; none if it was told nothing yet.
    told: Option<Pointer>,
    waiting: VecDeque<Pointer>,
}

impl Reports {
    /// Makes it, with nothing to tell.
    ///
    /// # Errors
    ///
    /// No descriptor is to be had.
    pub fn new() -> io::Result<Self> {
        let wake = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        Ok(Self { state: Mutex::default(), wake, broken_queue: Once::default() })
    }

    /// The pointer as the driver knows it, and the next that it is to be told of.
    pub(super) fn next(&self) -> Option<(Option<Pointer>, Pointer)> {
        let state = self.lock();
        state.waiting.front().map(|&next| (state.told, next))
    }

    /// The driver was told of the next.
    pub(super) fn done(&self) {
        let mut state = self.lock();
        if let Some(next) = state.waiting.pop_front() {
            state.told = Some(next);
        }
    }

    /// Drops all that wait but the newest.
    pub(super) fn keep_newest(&self) {
        let mut state = self.lock();
        let old = state.waiting.len().saturating_sub(1);
        state.waiting.drain(..old);
    }

    /// The pointer as the driver knows it.
    pub(super) fn told(&self) -> Option<Pointer> {
        self.lock().told
    }

    /// Has the driver know of this pointer, or of none: a new driver begins with the newest.
    pub(super) fn restore(&self, told: Option<Pointer>) {
        self.lock().told = told;
        self.keep_newest();
    }

    /// Written when there is something to tell.
    pub(super) fn wake(&self) -> &EventFd {
        &self.wake
    }

    /// The number of those that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pointing for Reports {
    fn pointer(&self, pointer: Pointer) {
        let mut state = self.lock();
        if state.waiting.len() == MOST {
            state.waiting.pop_back();
        }
        state.waiting.push_back(pointer);
        drop(state);
        if let Err(error) = self.wake.write(1) {
            log::debug!("can't wake the tablet's worker: {error}");
        }
    }
}

#[cfg(test)]
#[path = "reports_test.rs"]
mod tests;
