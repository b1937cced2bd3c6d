//! An ATA disk's state.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::{AtaDisk, MAX_MULTIPLE, QueuedError, Settings};
use crate::{
    ahci::{fis::TaskFileState, registers::SLOTS},
    state::StateError,
};

/// The driver's settings, and the errors that it can still read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct DiskState {
    /// The size that the driver knows, though the disk may have grown since.
    sectors: u64,
    writeback: bool,
    multiple: u8,
    look_ahead: bool,
    ultra_dma: u8,
    standby: bool,
    keeps_settings: bool,
    /// The tag of the queued command that failed, and the registers at its end.
    queued_error: Option<(u8, TaskFileState)>,
}

impl AtaDisk {
    pub(in super::super) fn save(&self) -> DiskState {
        let settings = self.settings().clone();
        DiskState {
            sectors: self.sectors,
            writeback: self.cache.writeback(),
            multiple: settings.multiple,
            look_ahead: settings.look_ahead,
            ultra_dma: settings.ultra_dma,
            standby: settings.standby,
            keeps_settings: settings.keeps_settings,
            queued_error: settings.queued_error.map(|error| (error.tag, error.end.into())),
        }
    }

    /// Loads a state.
    ///
    /// # Errors
    ///
    /// The disk is smaller than the driver knows it, or a setting is impossible.
    pub(in super::super) fn load(&mut self, state: DiskState) -> Result<(), StateError> {
        if state.sectors > self.sectors {
            return Err(StateError::Nonsense("the disk is smaller now than its driver knows it"));
        }
        let multiple = state.multiple;
        let is_possible = multiple == 0 || multiple <= MAX_MULTIPLE && multiple.is_power_of_two();
        let tag = state.queued_error.as_ref().map_or(0, |(tag, _)| *tag);
        if !is_possible || state.ultra_dma > 6 || tag >= SLOTS {
            return Err(StateError::Nonsense("a disk has no such setting"));
        }
        self.sectors = state.sectors;
        self.cache.set_writeback(state.writeback);
        *self.settings.get_mut().unwrap_or_else(PoisonError::into_inner) = Settings {
            multiple,
            look_ahead: state.look_ahead,
            ultra_dma: state.ultra_dma,
            standby: state.standby,
            keeps_settings: state.keeps_settings,
            queued_error: state.queued_error.map(|(tag, end)| QueuedError { tag, end: end.into() }),
        };
        Ok(())
    }
}
