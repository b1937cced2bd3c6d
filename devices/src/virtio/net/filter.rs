//! Filters for the frames that a driver wants.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::net::MacAddress;

/// A set of addresses, set by the driver. It has as many entries as QEMU's; a driver that sets more gets all frames of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    addresses: BTreeSet<[u8; 6]>,
    overflow: bool,
}

/// The frames that a driver wants, for QMP's `query-rx-filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RxFilter {
    /// All frames, whatever the other fields say.
    pub promiscuous: bool,
    /// Frames to single stations.
    pub unicast: RxState,
    /// Frames to groups.
    pub multicast: RxState,
    /// Frames to all stations.
    pub broadcast_allowed: bool,
    /// The device's own address.
    pub main_mac: MacAddress,
    /// The addresses of further stations. None if the driver set too many, so that it gets the frames to all.
    pub unicast_table: Option<Vec<MacAddress>>,
    /// The addresses of groups, in the same way.
    pub multicast_table: Option<Vec<MacAddress>>,
}

/// The wanted frames of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxState {
    /// Frames to an address in the table.
    Normal,
    /// No frames.
    None,
    /// All frames.
    All,
}

impl RxState {
    /// QEMU's word for the state.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::None => "none",
            Self::All => "all",
        }
    }

    fn of(none: bool, all: bool) -> Self {
        match (none, all) {
            (true, _) => Self::None,
            (_, true) => Self::All,
            _ => Self::Normal,
        }
    }
}

/// virtio 1.3, "Network Device", "Packet Receive Filtering" and "Setting MAC Address Filtering".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    pub(super) promisc: bool,
    pub(super) allmulti: bool,
    pub(super) alluni: bool,
    pub(super) nomulti: bool,
    pub(super) nouni: bool,
    pub(super) nobcast: bool,
    pub(super) unicast: Table,
    pub(super) multicast: Table,
}

impl Table {
    /// The most addresses in the two tables together.
    pub(super) const ENTRIES: usize = 64;

    pub(super) fn new(addresses: BTreeSet<[u8; 6]>) -> Self {
        Self { addresses, overflow: false }
    }

    /// The table for a driver that set more addresses than there is room for.
    pub(super) fn overflowing() -> Self {
        Self { addresses: BTreeSet::new(), overflow: true }
    }

    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// The addresses, unless there were too many.
    fn tell(&self) -> Option<Vec<MacAddress>> {
        (!self.overflow).then(|| self.addresses.iter().copied().map(MacAddress).collect())
    }

    fn contains(&self, address: [u8; 6]) -> bool {
        self.overflow || self.addresses.contains(&address)
    }
}

impl Filter {
    /// Returns whether the tables have room for their addresses.
    pub(super) fn is_possible(&self) -> bool {
        self.unicast.len() + self.multicast.len() <= Table::ENTRIES
    }

    /// Describes the filter of a device with the address `own`.
    pub(super) fn tell(&self, own: [u8; 6]) -> RxFilter {
        RxFilter {
            promiscuous: self.promisc,
            unicast: RxState::of(self.nouni, self.alluni),
            multicast: RxState::of(self.nomulti, self.allmulti),
            broadcast_allowed: !self.nobcast,
            main_mac: MacAddress(own),
            unicast_table: self.unicast.tell(),
            multicast_table: self.multicast.tell(),
        }
    }

    /// Returns whether a device with the address `own` passes on frames to `destination`.
    pub(super) fn wants(&self, destination: [u8; 6], own: [u8; 6]) -> bool {
        let address = MacAddress(destination);
        if self.promisc {
            true
        } else if address == MacAddress::BROADCAST {
            !self.nobcast
        } else if address.is_multicast() {
            !self.nomulti && (self.allmulti || self.multicast.contains(destination))
        } else {
            !self.nouni && (self.alluni || destination == own || self.unicast.contains(destination))
        }
    }
}

/// Accepts all frames if the driver sets no mode, as in QEMU.
impl Default for Filter {
    fn default() -> Self {
        Self {
            promisc: true,
            allmulti: false,
            alluni: false,
            nomulti: false,
            nouni: false,
            nobcast: false,
            unicast: Table::default(),
            multicast: Table::default(),
        }
    }
}

#[cfg(test)]
#[path = "filter_test.rs"]
mod tests;
