//! The settings that a driver has made, shared by its device's threads.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use serde::{Deserialize, Serialize};

use super::{filter::Filter, options::NetOptions};

/// The settings that a driver has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) mac: [u8; 6],
    pub(super) filter: Filter,
    /// The number of queue pairs in use.
    pub(super) pairs: u16,
    /// The offloads for frames to the guest, by their feature bits.
    pub(super) guest_offloads: u64,
    /// The driver should announce itself.
    pub(super) announce: bool,
}

/// A [`State`] that several threads share.
#[derive(Debug)]
pub(super) struct Settings {
    state: Mutex<State>,
    /// Counts the changes.
    generation: AtomicU32,
}

impl State {
    /// The state before a driver has changed anything.
    pub(super) fn new(options: &NetOptions) -> Self {
        Self { mac: options.mac.0, filter: Filter::default(), pairs: 1, guest_offloads: 0, announce: false }
    }
}

impl Settings {
    pub(super) fn new(state: State) -> Self {
        Self { state: Mutex::new(state), generation: AtomicU32::new(0) }
    }

    /// Changes the state, for every thread that checks [`Settings::generation`] from now on.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Returns the number of changes so far. While it stays the same, the result of [`Settings::get`] is current.
    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns the state, and its generation.
    pub(super) fn get(&self) -> (State, u32) {
        let state = self.lock();
        (state.clone(), self.generation())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
