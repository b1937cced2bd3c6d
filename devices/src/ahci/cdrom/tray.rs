//! The tray of a CD-ROM drive. The host's user and the guest open and close it.

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

/// A tray and its medium. It outlives the machine's resets.
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
    /// The guest has locked the tray, to keep the medium in it.
    locked: bool,
    /// News that the guest gets before any other answer.
    attention: Option<Sense>,
    /// An event that the guest has not been notified of yet: MMC-6, "Media Event Descriptor".
    event: Option<Event>,
}

/// A medium: an image.
#[derive(Clone, Debug)]
pub struct Medium {
    /// The image.
    pub disk: Arc<dyn Disk>,
    /// The format.
    pub format: Format,
}

/// An error that leaves the tray as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrayError {
    /// The guest has locked the tray.
    #[error("the guest has locked it; it is asked to let it go, so try again in a moment, or force it")]
    Locked,
    /// There is another medium in the tray.
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
    /// Makes the closed tray of the drive `name`, with `medium` in it.
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

    /// Opens the tray and takes the medium out; with `force`, even if the guest has locked the tray.
    ///
    /// # Errors
    ///
    /// The guest has locked the tray. It is asked to unlock it.
    pub fn eject(&self, force: bool) -> Result<Option<Medium>, TrayError> {
        self.open(force)?;
        Ok(self.remove())
    }

    /// Opens the tray; with `force`, even if the guest has locked it.
    ///
    /// # Errors
    ///
    /// The guest has locked the tray. It is asked to unlock it.
    pub fn open(&self, force: bool) -> Result<(), TrayError> {
        let mut state = self.state();
        if state.locked && !state.open && !force {
            state.event = Some(Event::EjectRequest);
            return Err(TrayError::Locked);
        }
        state.open();
        Ok(())
    }

    /// Takes the medium out of the tray, if the tray is open.
    fn remove(&self) -> Option<Medium> {
        self.state().medium.take()
    }

    /// Closes the tray, with `medium` in it if the tray was empty.
    ///
    /// # Errors
    ///
    /// There is another medium in the tray.
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

    /// Unlocks the tray, because the drive was reset.
    pub(super) fn reset(&self) {
        let mut state = self.state();
        state.locked = false;
        state.attention = Some(Sense::WAS_RESET);
    }

    /// Locks or unlocks the tray for the guest.
    pub(super) fn lock(&self, locked: bool) {
        self.state().locked = locked;
    }

    /// Opens the tray for the guest, as for ejecting the medium.
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

    /// Takes the news that the guest has to get first.
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
    /// There is no medium, or the tray is open.
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
    /// The number of blocks of 2048 bytes. A shorter block at the end does not count.
    pub(super) fn blocks(&self) -> u32 {
        u32::try_from(self.disk.size() / BLOCK).unwrap_or(u32::MAX)
    }
}
