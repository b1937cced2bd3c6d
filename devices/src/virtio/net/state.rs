//! The settings that a driver has made, as its device's threads share them.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use serde::{Deserialize, Serialize};

use super::{filter::Filter, options::NetOptions};

/// A network device's own state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) mac: [u8; 6],
    pub(super) filter: Filter,
    /// Queue pairs that frames come by.
    pub(super) pairs: u16,
    /// Offloads of frames to the guest, by their feature bits.
    pub(super) guest_offloads: u64,
    /// The driver is to announce itself.
    pub(super) announce: bool,
}

/// A [`State`] that several threads use.
#[derive(Debug)]
pub(super) struct Settings {
    state: Mutex<State>,
    /// Counts its changes.
    generation: AtomicU32,
}

impl State {
    /// The state before a driver has set anything.
    pub(super) fn new(options: &NetOptions) -> Self {
        Self { mac: options.mac.0, filter: Filter::default(), pairs: 1, guest_offloads: 0, announce: false }
    }
}

impl Settings {
    pub(super) fn new(state: State) -> Self {
        Self { state: Mutex::new(state), generation: AtomicU32::new(0) }
    }

    /// Changes it, for every thread that looks at [`Settings::generation`] from now on.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Returns the number of changes so far: as long as it stays, what [`Settings::get`] returned holds.
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
