//! virtio 1.3, "Network Device", "Feature bits".

use virtio_bindings::{
    virtio_config::VIRTIO_F_VERSION_1,
    virtio_net::{
        VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_MAC_ADDR,
        VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_ANNOUNCE,
        VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_HOST_ECN,
        VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_HOST_USO,
        VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS,
    },
};

use super::options::NetOptions;
use crate::{
    net::{HEADER_LEN, LEGACY_HEADER_LEN, Network, Offloads},
    virtio::serve::RING_FEATURES,
};

pub(super) const VERSION_1: u64 = 1 << VIRTIO_F_VERSION_1;
pub(super) const MTU: u64 = 1 << VIRTIO_NET_F_MTU;
pub(super) const MRG_RXBUF: u64 = 1 << VIRTIO_NET_F_MRG_RXBUF;
pub(super) const CTRL_VQ: u64 = 1 << VIRTIO_NET_F_CTRL_VQ;
pub(super) const CTRL_RX: u64 = 1 << VIRTIO_NET_F_CTRL_RX;
pub(super) const CTRL_RX_EXTRA: u64 = 1 << VIRTIO_NET_F_CTRL_RX_EXTRA;
pub(super) const CTRL_MAC_ADDR: u64 = 1 << VIRTIO_NET_F_CTRL_MAC_ADDR;
pub(super) const CTRL_GUEST_OFFLOADS: u64 = 1 << VIRTIO_NET_F_CTRL_GUEST_OFFLOADS;
pub(super) const GUEST_ANNOUNCE: u64 = 1 << VIRTIO_NET_F_GUEST_ANNOUNCE;
pub(super) const MQ: u64 = 1 << VIRTIO_NET_F_MQ;

/// The features that every device offers.
const ALWAYS: u64 = RING_FEATURES
    | 1 << VIRTIO_NET_F_MAC
    | 1 << VIRTIO_NET_F_STATUS
    | MRG_RXBUF
    | CTRL_VQ
    | CTRL_RX
    | CTRL_RX_EXTRA
    | CTRL_MAC_ADDR
    | GUEST_ANNOUNCE;

/// The features that the server of the queues has to support.
const BY_VHOST: u64 = RING_FEATURES | MRG_RXBUF;

/// The features by which the driver leaves work to the device, and the offloads that they stand for.
const TO_HOST: [(u32, Offloads); 6] = [
    (VIRTIO_NET_F_CSUM, Offloads::CSUM),
    (VIRTIO_NET_F_HOST_TSO4, Offloads::TSO4),
    (VIRTIO_NET_F_HOST_TSO6, Offloads::TSO6),
    (VIRTIO_NET_F_HOST_ECN, Offloads::ECN),
    (VIRTIO_NET_F_HOST_UFO, Offloads::UFO),
    (VIRTIO_NET_F_HOST_USO, Offloads::USO),
];

/// The features by which the device may leave work to the driver. The host has one switch for both kinds of USO.
const TO_GUEST: [(u32, Offloads); 7] = [
    (VIRTIO_NET_F_GUEST_CSUM, Offloads::CSUM),
    (VIRTIO_NET_F_GUEST_TSO4, Offloads::TSO4),
    (VIRTIO_NET_F_GUEST_TSO6, Offloads::TSO6),
    (VIRTIO_NET_F_GUEST_ECN, Offloads::ECN),
    (VIRTIO_NET_F_GUEST_UFO, Offloads::UFO),
    (VIRTIO_NET_F_GUEST_USO4, Offloads::USO),
    (VIRTIO_NET_F_GUEST_USO6, Offloads::USO),
];

/// Returns the features that a device on `host` offers.
pub(super) fn offered(host: &dyn Network, options: &NetOptions) -> u64 {
    let only = |condition: bool, features| if condition { features } else { 0 };
    let bits = |table: &[(u32, Offloads)], offloads: Offloads| {
        let there = table.iter().filter(|(_, offload)| options.offload && offloads.contains(*offload));
        there.fold(0, |bits, (feature, _)| bits | 1 << feature)
    };
    let to_guest = bits(&TO_GUEST, host.gives().usable());
    let offered = ALWAYS
        | bits(&TO_HOST, host.takes().usable())
        | to_guest
        | only(to_guest != 0, CTRL_GUEST_OFFLOADS)
        | only(options.mtu.is_some(), MTU)
        | only(options.pairs > 1, MQ);
    match host.vhost(0) {
        Some(vhost) => offered & (vhost.features() | !BY_VHOST),
        None => offered,
    }
}

/// Returns the length of the header before each frame for a driver that accepted `features`.
pub(super) fn header_len(features: u64) -> usize {
    if features & (VERSION_1 | MRG_RXBUF) == 0 { LEGACY_HEADER_LEN } else { HEADER_LEN }
}

/// Returns those of `features` that are offloads for frames to the guest.
pub(super) fn guest_offload_bits(features: u64) -> u64 {
    TO_GUEST.iter().fold(0, |bits, (feature, _)| bits | features & 1 << feature)
}

/// Returns the possible offloads for frames to a guest that accepted `features`.
pub(super) fn guest_offloads(features: u64) -> Offloads {
    let missing = TO_GUEST.iter().filter(|(feature, _)| features & 1 << feature == 0);
    missing.fold(Offloads::all(), |offloads, (_, offload)| offloads - *offload).usable()
}

#[cfg(test)]
#[path = "features_test.rs"]
mod tests;
