//! The tray of a CD-ROM drive, which the host's user and the guest open and close.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

pub(super) use self::state::TrayState;
use super::sense::Sense;
use crate::{
    block::{Counters, Lasting},
    disk::{Disk, format::Format},
};

/// Bytes of a block of data on a CD.
pub(super) const BLOCK: u64 = 2048;

/// A tray, and what is in it. It outlives the machine's resets.
#[derive(Debug)]
pub struct Tray {
    name: String,
    lasting: Lasting,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    medium: Option<Medium>,
    open: bool,
    /// The guest has asked that the medium stays.
    locked: bool,
    /// News that the guest hears before any other answer.
    attention: Option<Sense>,
    /// The guest has not been told of this event yet: MMC-6, "Media Event Descriptor".
    event: Option<Event>,
}

/// A medium: an image.
#[derive(Clone, Debug)]
pub struct Medium {
    /// The image.
    pub disk: Arc<dyn Disk>,
    /// Its format.
    pub format: Format,
}

/// An error that leaves the tray as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrayError {
    /// The guest holds the medium.
    #[error("the guest has locked it; it is asked to let it go, so try again in a moment, or force it")]
    Locked,
    /// There is a medium in it already.
    #[error("there is a medium in it; eject that first")]
    Full,
}

/// MMC-6, "Media Event Descriptor": the event codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    EjectRequest = 1,
    NewMedium = 2,
    Removal = 3,
}

impl Tray {
    /// A closed tray of the drive `name`, with `medium` in it.
    #[must_use]
    pub fn new(name: String, medium: Option<Medium>, lasting: Lasting) -> Self {
        let state = State { medium, ..State::default() };
        Self { name, lasting, state: Mutex::new(state) }
    }

    /// The name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The drive's counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.lasting.counters
    }

    /// The medium.
    #[must_use]
    pub fn medium(&self) -> Option<Medium> {
        self.state().medium.clone()
    }

    /// Returns true if the tray is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().open
    }

    /// Returns true if the guest has locked the tray.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.state().locked
    }

    /// Opens the tray and takes the medium out, by `force` though the guest holds it.
    ///
    /// # Errors
    ///
    /// The guest holds it. It is asked to let it go.
    pub fn eject(&self, force: bool) -> Result<Option<Medium>, TrayError> {
        self.open(force)?;
        Ok(self.remove())
    }

    /// Opens the tray, by `force` though the guest holds the medium.
    ///
    /// # Errors
    ///
    /// The guest holds it. It is asked to let it go.
    pub fn open(&self, force: bool) -> Result<(), TrayError> {
        let mut state = self.state();
        if state.locked && !state.open && !force {
            state.event = Some(Event::EjectRequest);
            return Err(TrayError::Locked);
        }
        state.open();
        Ok(())
    }

    /// Takes the medium out of an open tray.
    fn remove(&self) -> Option<Medium> {
        self.state().medium.take()
    }

    /// Closes the tray, with `medium` in it if it was empty.
    ///
    /// # Errors
    ///
    /// There is another medium in it.
    pub fn insert(&self, medium: Medium) -> Result<(), TrayError> {
        let mut state = self.state();
        if state.medium.is_some() {
            return Err(TrayError::Full);
        }
        state.medium = Some(medium);
        state.close();
        Ok(())
    }

    /// Closes the tray.
    pub fn close(&self) {
        self.state().close();
    }

    pub(in crate::ahci) fn lasting(&self) -> &Lasting {
        &self.lasting
    }

    /// The drive was reset: it holds nothing any more.
    pub(super) fn reset(&self) {
        let mut state = self.state();
        state.locked = false;
        state.attention = Some(Sense::WAS_RESET);
    }

    /// The guest holds the medium, or lets it go.
    pub(super) fn lock(&self, locked: bool) {
        self.state().locked = locked;
    }

    /// The guest opens the tray, as it does to hand the medium out.
    ///
    /// # Errors
    ///
    /// The guest has locked the tray.
    pub(super) fn open_by_guest(&self) -> Result<(), Sense> {
        let mut state = self.state();
        if state.locked {
            return Err(Sense::REMOVAL_PREVENTED);
        }
        state.open();
        Ok(())
    }

    /// Takes what the guest is to be told first.
    pub(super) fn take_attention(&self) -> Option<Sense> {
        self.state().attention.take()
    }

    pub(super) fn take_event(&self) -> Option<Event> {
        self.state().event.take()
    }

    /// The medium of a closed tray.
    ///
    /// # Errors
    ///
    /// There is none, or the tray is open.
    pub(super) fn loaded(&self) -> Result<Medium, Sense> {
        let state = self.state();
        match &state.medium {
            _ if state.open => Err(Sense::TRAY_OPEN),
            None => Err(Sense::NO_MEDIUM),
            Some(medium) => Ok(medium.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&mut self) {
        if !std::mem::replace(&mut self.open, true) {
            self.event = Some(Event::Removal);
        }
        self.locked = false;
        self.attention = None;
    }

    fn close(&mut self) {
        let was_open = std::mem::take(&mut self.open);
        if self.medium.is_some() && was_open {
            self.event = Some(Event::NewMedium);
            self.attention = Some(Sense::MEDIUM_CHANGED);
        }
    }
}

impl Medium {
    /// Its blocks of 2048 bytes; what is left at its end is none.
    pub(super) fn blocks(&self) -> u32 {
        u32::try_from(self.disk.size() / BLOCK).unwrap_or(u32::MAX)
    }
}
