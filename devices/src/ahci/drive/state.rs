//! A drive's state.

use serde::{Deserialize, Serialize};

use super::{
    super::{cdrom::CdromState, disk::DiskState},
    Drive, Kind,
};
use crate::state::StateError;

/// A drive's state, by its kind.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum DriveState {
    /// A disk's.
    Disk(DiskState),
    /// A CD-ROM drive's.
    Cdrom(CdromState),
}

impl Drive {
    /// Saves the state. No command is at the drive.
    pub(in super::super) fn save(&self) -> DriveState {
        match &self.0 {
            Kind::Disk(disk) => DriveState::Disk(disk.save()),
            Kind::Cdrom(cdrom) => DriveState::Cdrom(cdrom.save()),
        }
    }

    /// Loads a state.
    ///
    /// # Errors
    ///
    /// The state is of another kind of drive, or does not fit this one.
    pub(in super::super) fn load(&mut self, state: DriveState) -> Result<(), StateError> {
        match (&mut self.0, state) {
            (Kind::Disk(disk), DriveState::Disk(state)) => disk.load(state),
            (Kind::Cdrom(cdrom), DriveState::Cdrom(state)) => {
                cdrom.load(state);
                Ok(())
            }
            (Kind::Disk(_), _) => {
                Err(StateError::Device { found: "cd-rom drive".to_owned(), expected: "disk" })
            }
            (Kind::Cdrom(_), _) => {
                Err(StateError::Device { found: "disk".to_owned(), expected: "cd-rom drive" })
            }
        }
    }
}
