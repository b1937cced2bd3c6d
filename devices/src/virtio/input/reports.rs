//! The queue of pointer changes, between their source and the worker that passes them to the driver.

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

/// The most changes that wait for the worker. A newer one then replaces the last.
const MOST: usize = 64;

/// The pointer's changes that the driver has not got yet. They outlive resets.
#[derive(Debug)]
pub struct Reports {
    state: Mutex<State>,
    /// Written when there is a change.
    wake: EventFd,
    pub(super) broken_queue: Once,
}

#[derive(Debug, Default)]
struct State {
    /// The pointer's state that the driver has got; none if it has got nothing yet.
    told: Option<Pointer>,
    waiting: VecDeque<Pointer>,
}

impl Reports {
    /// Makes an empty queue.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        let wake = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        Ok(Self { state: Mutex::default(), wake, broken_queue: Once::default() })
    }

    /// The pointer's state that the driver has got, and the next one that it has to get.
    pub(super) fn next(&self) -> Option<(Option<Pointer>, Pointer)> {
        let state = self.lock();
        state.waiting.front().map(|&next| (state.told, next))
    }

    /// Records that the driver has got the next state.
    pub(super) fn done(&self) {
        let mut state = self.lock();
        if let Some(next) = state.waiting.pop_front() {
            state.told = Some(next);
        }
    }

    /// Drops all waiting changes except for the newest.
    pub(super) fn keep_newest(&self) {
        let mut state = self.lock();
        let old = state.waiting.len().saturating_sub(1);
        state.waiting.drain(..old);
    }

    /// The pointer's state that the driver has got.
    pub(super) fn told(&self) -> Option<Pointer> {
        self.lock().told
    }

    /// Sets the pointer's state that the driver has got, if any. A new driver begins with the newest one.
    pub(super) fn restore(&self, told: Option<Pointer>) {
        self.lock().told = told;
        self.keep_newest();
    }

    /// Written when there is a change for the driver.
    pub(super) fn wake(&self) -> &EventFd {
        &self.wake
    }

    /// The number of waiting changes.
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
