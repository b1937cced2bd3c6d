//! A network device's state, without its transport's.

use serde::{Deserialize, Serialize};

use super::{Net, features, state::State};
use crate::{
    net::MacAddress,
    state::{StateError, Stateful},
};

/// The driver's settings, and the link's state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    settings: State,
    /// The state of the link that the driver knows.
    link_up: bool,
    /// The user has the link up. It may be down nevertheless, if the host's side is gone.
    link_wanted: bool,
}

impl Stateful for Net {
    type State = Saved;

    fn save(&self) -> Result<Saved, StateError> {
        let (settings, link_wanted) = (self.settings.get().0, self.lasting.link.is_wanted());
        Ok(Saved { settings, link_up: self.link_up, link_wanted })
    }

    /// Loads a state. The driver should announce itself, as its place in the network may have changed. A link that was taken down stays
    /// down.
    fn load(&mut self, Saved { settings: mut state, link_up, link_wanted }: Saved) -> Result<(), StateError> {
        let agreed = self.agreed.unwrap_or(0);
        let most_pairs = if agreed & features::MQ == 0 { 1 } else { self.lasting.options.pairs };
        if state.pairs == 0 || state.pairs > most_pairs {
            return Err(StateError::Nonsense("a number of queue pairs that this device does not have"));
        }
        if MacAddress(state.mac).is_multicast() || state.mac == [0; 6] {
            return Err(StateError::Nonsense("no device's address"));
        }
        if state.guest_offloads & !features::guest_offload_bits(agreed) != 0 {
            return Err(StateError::Nonsense("offloads that were not agreed on"));
        }
        if !state.filter.is_possible() {
            return Err(StateError::Nonsense("more addresses than there is room for"));
        }
        state.announce |= self.can_announce();
        self.settings.change(|settings| *settings = state);
        self.lasting.set_link(link_wanted);
        self.link_up = link_up;
        Ok(())
    }
}

#[cfg(test)]
#[path = "saved_test.rs"]
mod tests;
