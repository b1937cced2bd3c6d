//! virtio 1.3, "Network Device", "Control Virtqueue": commands from the driver.

use std::sync::Arc;

use virtio_bindings::virtio_net::{
    VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
    VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET,
    VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_CTRL_RX,
    VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_CTRL_RX_ALLUNI, VIRTIO_NET_CTRL_RX_NOBCAST,
    VIRTIO_NET_CTRL_RX_NOMULTI, VIRTIO_NET_CTRL_RX_NOUNI, VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_ERR,
    VIRTIO_NET_OK,
};
use vmm_sys_util::eventfd::EventFd;

use super::{
    features::{
        self, CTRL_GUEST_OFFLOADS, CTRL_MAC_ADDR, CTRL_RX, CTRL_RX_EXTRA, CTRL_VQ, GUEST_ANNOUNCE, MQ,
    },
    filter::{Filter, Table},
    state::{Settings, State},
};
use crate::{
    net::{MacAddress, Network},
    virtio::{
        queue::{Buffers, Chain},
        serve::{Next, ServeError, Served},
    },
};

/// The chain is no command: it has no place for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("descriptor chain {0} has no room for an answer to a command")]
pub(super) struct NoRoomForAck(u16);

/// The command is unknown, not negotiated, or makes no sense: the answer is `VIRTIO_NET_ERR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// Serves the control queue.
#[derive(Debug)]
pub(super) struct Control {
    host: Arc<dyn Network>,
    settings: Arc<Settings>,
    /// The negotiated features.
    features: u64,
    /// The number of the device's queue pairs.
    pairs: u16,
    /// Written when the receive queues have to apply changed settings.
    receivers: Vec<Arc<EventFd>>,
}

impl Control {
    pub(super) fn new(
        host: Arc<dyn Network>,
        settings: Arc<Settings>,
        features: u64,
        pairs: u16,
        receivers: Vec<Arc<EventFd>>,
    ) -> Self {
        Self { host, settings, features, pairs, receivers }
    }

    /// Carries out the command in `chain`, and answers it.
    pub(super) fn serve<'m>(&self, chain: &Chain<'m>, queue: &mut Served<'m>) -> Result<Next, ServeError> {
        self.answer(chain).map_err(|error| ServeError::Request(error.into()))?;
        queue.give_back(chain.head, 1)?;
        Ok(Next::Chain)
    }

    /// Carries out the command in `chain`, and writes the answer, which is a byte.
    pub(super) fn answer(&self, chain: &Chain<'_>) -> Result<(), NoRoomForAck> {
        let ack = chain.writable.range(0, 1).next().ok_or(NoRoomForAck(chain.head))?;
        let answer = match self.obey(&chain.readable) {
            Ok(()) => VIRTIO_NET_OK,
            Err(Refused) => VIRTIO_NET_ERR,
        };
        ack.copy_from(&answer.to_le_bytes()[..1]);
        Ok(())
    }

    fn obey(&self, command: &Buffers<'_>) -> Result<(), Refused> {
        let mut data = Data { buffers: command, at: 0 };
        let [class, command] = data.take()?;
        self.agreed(CTRL_VQ)?;
        match (u32::from(class), u32::from(command)) {
            (VIRTIO_NET_CTRL_RX, mode) => self.set_mode(mode, data.last()?),
            (VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET) => self.set_tables(data),
            (VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET) => self.set_mac(data.last()?),
            (VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK) => {
                self.agreed(GUEST_ANNOUNCE)?;
                let [] = data.last()?;
                self.settings.change(|state| state.announce = false);
                Ok(())
            }
            (VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET) => {
                self.set_pairs(u16::from_le_bytes(data.last()?))
            }
            (VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET) => {
                self.set_offloads(u64::from_le_bytes(data.last()?))
            }
            _ => Err(Refused),
        }
    }

    fn agreed(&self, feature: u64) -> Result<(), Refused> {
        if self.features & feature != 0 { Ok(()) } else { Err(Refused) }
    }

    fn set_mode(&self, mode: u32, [on]: [u8; 1]) -> Result<(), Refused> {
        let field: fn(&mut Filter) -> &mut bool = match mode {
            VIRTIO_NET_CTRL_RX_PROMISC => |filter| &mut filter.promisc,
            VIRTIO_NET_CTRL_RX_ALLMULTI => |filter| &mut filter.allmulti,
            VIRTIO_NET_CTRL_RX_ALLUNI => |filter| &mut filter.alluni,
            VIRTIO_NET_CTRL_RX_NOMULTI => |filter| &mut filter.nomulti,
            VIRTIO_NET_CTRL_RX_NOUNI => |filter| &mut filter.nouni,
            VIRTIO_NET_CTRL_RX_NOBCAST => |filter| &mut filter.nobcast,
            _ => return Err(Refused),
        };
        let is_extra = !matches!(mode, VIRTIO_NET_CTRL_RX_PROMISC | VIRTIO_NET_CTRL_RX_ALLMULTI);
        self.agreed(if is_extra { CTRL_RX_EXTRA } else { CTRL_RX })?;
        self.settings.change(|state| *field(&mut state.filter) = on != 0);
        Ok(())
    }

    fn set_tables(&self, mut data: Data<'_, '_>) -> Result<(), Refused> {
        self.agreed(CTRL_RX)?;
        let unicast = data.take_table(Table::ENTRIES)?;
        let multicast = data.take_table(Table::ENTRIES - unicast.len())?;
        let [] = data.last()?;
        self.settings.change(|state| (state.filter.unicast, state.filter.multicast) = (unicast, multicast));
        Ok(())
    }

    fn set_mac(&self, mac: [u8; 6]) -> Result<(), Refused> {
        self.agreed(CTRL_MAC_ADDR)?;
        if MacAddress(mac).is_multicast() || mac == [0; 6] {
            return Err(Refused);
        }
        self.settings.change(|state| state.mac = mac);
        Ok(())
    }

    fn set_pairs(&self, pairs: u16) -> Result<(), Refused> {
        self.agreed(MQ)?;
        if pairs == 0 || pairs > self.pairs {
            return Err(Refused);
        }
        let before = self.settings.get().0.pairs;
        // A port is used only if the host has it.
        self.set(|state| state.pairs = pairs.min(before));
        let used = self.host.use_ports(pairs);
        self.set(|state| state.pairs = if used.is_ok() { pairs } else { before });
        used.map_err(|_| Refused)
    }

    fn set_offloads(&self, offloads: u64) -> Result<(), Refused> {
        self.agreed(CTRL_GUEST_OFFLOADS)?;
        if offloads & !features::guest_offload_bits(self.features) != 0 {
            return Err(Refused);
        }
        let before = self.settings.get().0.guest_offloads;
        // Until the host has switched, frames may come with the old or the new offloads.
        self.settings.change(|state| state.guest_offloads = before | offloads);
        let given = self.host.give(features::guest_offloads(offloads));
        self.settings.change(|state| state.guest_offloads = if given.is_ok() { offloads } else { before });
        given.map_err(|_| Refused)
    }

    /// Changes the settings, and has the receive queues apply them.
    fn set(&self, change: impl FnOnce(&mut State)) {
        self.settings.change(change);
        for receiver in &self.receivers {
            // A counter that is full wakes the thread as well.
            let _woken = receiver.write(1);
        }
    }
}

/// A command's data, read from front to back.
#[derive(Clone, Copy, Debug)]
struct Data<'b, 'm> {
    buffers: &'b Buffers<'m>,
    at: usize,
}

impl Data<'_, '_> {
    /// Takes the next bytes.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let (mut bytes, mut filled) = ([0; N], 0);
        for piece in self.buffers.range(self.at, N) {
            filled += piece.copy_to(&mut bytes[filled..]);
        }
        self.at += filled;
        if filled == N { Ok(bytes) } else { Err(Refused) }
    }

    /// Takes the next bytes. No further bytes may follow.
    fn last<const N: usize>(mut self) -> Result<[u8; N], Refused> {
        let bytes = self.take()?;
        if self.at == self.buffers.len() { Ok(bytes) } else { Err(Refused) }
    }

    /// Takes a `struct virtio_net_ctrl_mac`. If it has more than `room` addresses, none is kept.
    fn take_table(&mut self, room: usize) -> Result<Table, Refused> {
        let entries = usize::try_from(u32::from_le_bytes(self.take()?)).map_err(|_| Refused)?;
        let len = entries.checked_mul(6).ok_or(Refused)?;
        if len > self.buffers.len() - self.at {
            return Err(Refused);
        }
        if entries > room {
            self.at += len;
            return Ok(Table::overflowing());
        }
        (0..entries).map(|_| self.take()).collect::<Result<_, _>>().map(Table::new)
    }
}

#[cfg(test)]
#[path = "control_test.rs"]
mod tests;
