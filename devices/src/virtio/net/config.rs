//! The configuration that the driver reads.

use zerocopy::{Immutable, IntoBytes, little_endian::U16};

use super::options::NetOptions;

/// virtio 1.3, "Network Device", "Device configuration layout": `struct virtio_net_config`, up to the last field of the offered features.
/// Fields of features that are not offered are zero.
#[derive(Debug, Immutable, IntoBytes)]
#[repr(C)]
pub(super) struct Config {
    mac: [u8; 6],
    status: U16,
    max_virtqueue_pairs: U16,
    mtu: U16,
}

bitflags::bitflags! {
    /// The field `status`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Status: u16 {
        const LINK_UP = 1 << 0;
        /// The driver should announce itself to the network, and then acknowledge that to the device.
        const ANNOUNCE = 1 << 1;
    }
}

impl Config {
    pub(super) fn new(options: &NetOptions, mac: [u8; 6], status: Status) -> Self {
        let pairs = if options.pairs > 1 { options.pairs } else { 0 };
        Self {
            mac,
            status: status.bits().into(),
            max_virtqueue_pairs: pairs.into(),
            mtu: options.mtu.unwrap_or(0).into(),
        }
    }
}
