//! A CD-ROM drive's state.

use serde::{Deserialize, Serialize};

use super::{Cdrom, sense::Sense, tray::TrayState};

/// The drive's news for the guest, and its tray.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct CdromState {
    sense: Option<Sense>,
    tray: TrayState,
}

impl Cdrom {
    pub(in super::super) fn save(&self) -> CdromState {
        CdromState { sense: *self.sense(), tray: self.tray.save() }
    }

    /// Loads a state. If a medium was inserted or removed since it was saved, the guest is notified.
    pub(in super::super) fn load(&mut self, CdromState { sense, tray }: CdromState) {
        *self.sense() = sense;
        self.tray.load(&tray);
    }
}
