//! A tray's state.

use serde::{Deserialize, Serialize};

use super::{Event, Tray};
use crate::ahci::cdrom::sense::Sense;

/// The tray without its medium, which belongs to the machine's user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct TrayState {
    has_medium: bool,
    open: bool,
    locked: bool,
    attention: Option<Sense>,
    event: Option<Event>,
}

impl Tray {
    pub(in super::super) fn save(&self) -> TrayState {
        let state = self.state();
        TrayState {
            has_medium: state.medium.is_some(),
            open: state.open,
            locked: state.locked,
            attention: state.attention,
            event: state.event,
        }
    }

    /// Loads a state. The guest is notified of a medium that was inserted or removed.
    pub(in super::super) fn load(&self, saved: &TrayState) {
        let mut state = self.state();
        (state.open, state.locked) = (saved.open, saved.locked);
        (state.attention, state.event) = (saved.attention, saved.event);
        match (saved.has_medium, state.medium.is_some()) {
            (false, true) if !state.open => {
                (state.attention, state.event) = (Some(Sense::MEDIUM_CHANGED), Some(Event::NewMedium));
            }
            (true, false) => (state.locked, state.event) = (false, Some(Event::Removal)),
            _ => {}
        }
    }
}
