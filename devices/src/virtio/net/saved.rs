//! A network device's own state.

use serde::{Deserialize, Serialize};

use super::{Net, features, state::State};
use crate::{
    net::MacAddress,
    state::{StateError, Stateful},
};

/// The settings of the driver, and the link.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    settings: State,
    /// The state that the driver was last told of.
    link_up: bool,
    /// Nobody has taken it down. It may be down all the same: with a host's side that is gone.
    link_wanted: bool,
}

impl Stateful for Net {
    type State = Saved;

    fn save(&self) -> Result<Saved, StateError> {
        let (settings, link_wanted) = (self.settings.get().0, self.lasting.link.is_wanted());
        Ok(Saved { settings, link_up: self.link_up, link_wanted })
    }

    /// The driver is to announce itself: the network may have another place for it. A link that somebody had taken down stays down.
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
