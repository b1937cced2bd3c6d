//! The user's options for a network device.

use crate::net::MacAddress;

/// The user's options for a network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetOptions {
    /// The device's address, until its driver changes it.
    pub mac: MacAddress,
    /// The MTU for the driver in bytes, at least [`NetOptions::MIN_MTU`].
    pub mtu: Option<u16>,
    /// The number of queue pairs, each with one thread that receives and one that transmits: 1 to [`NetOptions::MAX_PAIRS`], and at most
    /// the number of ports of the host's side.
    pub pairs: u16,
    /// The number of descriptors in a queue: a power of two, from 2 to [`NetOptions::MAX_QUEUE_SIZE`].
    pub queue_size: u16,
    /// Offer checksum and segmentation offloads, as far as the host's side supports them.
    pub offload: bool,
    /// Drivers from before virtio 1.0 can use the device as well.
    pub legacy: bool,
}

impl NetOptions {
    /// The most queue pairs.
    pub const MAX_PAIRS: u16 = 64;
    /// The most descriptors in a queue.
    pub const MAX_QUEUE_SIZE: u16 = 1024;
    /// The smallest MTU: virtio 1.3, "Network Device", "Device Requirements: Device configuration layout".
    pub const MIN_MTU: u16 = 68;

    /// Returns the defaults for a device with this address.
    #[must_use]
    pub fn new(mac: MacAddress) -> Self {
        Self { mac, mtu: None, pairs: 1, queue_size: 256, offload: true, legacy: false }
    }
}
