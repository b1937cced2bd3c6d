//! The user's choices for a network device.

use crate::net::MacAddress;

/// The user's choices for a network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetOptions {
    /// The device's address, until its driver sets another.
    pub mac: MacAddress,
    /// The MTU that the driver is told, in bytes, at least [`NetOptions::MIN_MTU`].
    pub mtu: Option<u16>,
    /// The number of queue pairs, each with a thread to receive and one to transmit: 1 to [`NetOptions::MAX_PAIRS`], and no
    /// more than the host's side has ports.
    pub pairs: u16,
    /// The number of descriptors in a queue: a power of two, from 2 to [`NetOptions::MAX_QUEUE_SIZE`].
    pub queue_size: u16,
    /// Checksums and segmentation may be left to the other side, as far as the host's side and the driver can.
    pub offload: bool,
    /// Drivers from before virtio 1.0 can use the device, too.
    pub legacy: bool,
}

impl NetOptions {
    /// The most queue pairs.
    pub const MAX_PAIRS: u16 = 64;
    /// The most descriptors in a queue.
    pub const MAX_QUEUE_SIZE: u16 = 1024;
    /// The least MTU: virtio 1.3, "Network Device", "Device Requirements: Device configuration layout".
    pub const MIN_MTU: u16 = 68;

    /// Returns what a user who gives only the address gets.
    #[must_use]
    pub fn new(mac: MacAddress) -> Self {
        Self { mac, mtu: None, pairs: 1, queue_size: 256, offload: true, legacy: false }
    }
}
