//! The host's side of a network device: where its frames go to and come from.
//!
//! ```text
//!   guest ── virtio-net ──▶ Port::send ──▶ tap, passt ...      a Port for each pair of virtqueues
//!         ◀─────────────── Port::receive ◀──
//! ```

mod bridge;
mod child;
mod forward;
mod interface;
mod ioctl;
mod mac;
mod netlink;
mod passt;
mod tap;

use std::{
    fmt::Debug,
    io,
    os::fd::{BorrowedFd, RawFd},
    sync::Arc,
};

use bitflags::bitflags;
use vm_memory::VolatileSlice;

use crate::vhost::Vhost;

pub use self::{
    bridge::BridgeError,
    forward::{Forward, ForwardError, Protocol},
    interface::{InterfaceName, InterfaceNameError},
    mac::{MacAddress, MacAddressError},
    passt::{Passt, PasstError, PasstOptions},
    tap::{DescriptorError, Tap, TapError},
};

/// The length of the header in front of each frame: virtio 1.3, "Device Operation" of the network device, `struct
/// virtio_net_hdr` with `num_buffers`. Linux calls it the tap's "vnet header".
pub const HEADER_LEN: usize = 12;

/// The length of that header without `num_buffers`: virtio 1.3, "Legacy Interface: Device Operation" of the network device.
pub const LEGACY_HEADER_LEN: usize = 10;

/// The longest frame with its header: an IPv4 packet of 65,535 bytes (or its like in IPv6, which a segmentation offload
/// leaves whole), an Ethernet header with a VLAN tag, and the header.
pub const LONGEST: usize = HEADER_LEN + 18 + 65_535;

bitflags! {
    /// The work that a frame may leave to whoever takes it: virtio 1.3, "Feature bits" of the network device.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Offloads: u32 {
        /// The checksum is to be completed, or need not be checked. All the others need it.
        const CSUM = 1 << 0;
        /// TCP segments of IPv4, longer than the MTU.
        const TSO4 = 1 << 1;
        /// TCP segments of IPv6.
        const TSO6 = 1 << 2;
        /// Such segments with ECN. It needs one of the two.
        const ECN = 1 << 3;
        /// UDP datagrams, as IP fragments.
        const UFO = 1 << 4;
        /// UDP datagrams of IPv4 and of IPv6, each cut into several.
        const USO = 1 << 5;
    }
}

impl Offloads {
    /// Those of them whose own needs are among them.
    #[must_use]
    pub fn usable(self) -> Self {
        let mut usable = if self.contains(Self::CSUM) { self } else { Self::empty() };
        if !usable.intersects(Self::TSO4 | Self::TSO6) {
            usable.remove(Self::ECN);
        }
        usable
    }
}

/// The host's side of a network device. It outlives resets, and several threads use it.
pub trait Network: Send + Sync + Debug {
    /// Its name for people and for the inventory, such as `tap nvmm0`.
    fn name(&self) -> String;

    /// The greatest number of ports, at least 1.
    fn most_ports(&self) -> u16;

    /// Has frames come by the first `ports` ports; those that are sent by the others go on their way too. At first it is port 0
    /// alone.
    ///
    /// # Errors
    ///
    /// The host refuses.
    fn use_ports(&self, ports: u16) -> io::Result<()>;

    /// Port `index` of [`Network::most_ports`].
    fn port(&self, index: u16) -> &dyn Port;

    /// The kernel's service for the queues of port `index`, if frames are to go that way. It is there for each port or for none.
    fn vhost(&self, _index: u16) -> Option<Arc<dyn Vhost>> {
        None
    }

    /// Looks whether the host's side is still there.
    ///
    /// # Errors
    ///
    /// The network is gone for good, for this reason.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    /// A descriptor that is readable when [`Network::check`] may have another answer than before, and no longer once it was called; with
    /// a side that is gone, always. There is none where the host has no such news.
    fn news(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The MTU that the guest should use, where the host's side has one.
    fn mtu(&self) -> Option<u16> {
        None
    }

    /// Has each frame have a header of `len` bytes: [`HEADER_LEN`], as at first, or [`LEGACY_HEADER_LEN`].
    ///
    /// # Errors
    ///
    /// The host refuses.
    fn set_header_len(&self, len: usize) -> io::Result<()>;

    /// The offloads that frames to the host may ask for.
    fn takes(&self) -> Offloads;

    /// The offloads that frames from the host may be had with.
    fn gives(&self) -> Offloads;

    /// Has frames from the host come with these offloads, and no others, from the next on. At first there are none.
    ///
    /// # Errors
    ///
    /// The host refuses. Frames come as before.
    fn give(&self, offloads: Offloads) -> io::Result<()>;
}

/// A way for frames, which never waits: to be used by one thread each way at a time.
pub trait Port: Send + Sync + Debug {
    /// The descriptor that is readable when a frame has come, and writable when one can be sent. Frames may have been read
    /// ahead: it is to be waited for only after [`Port::receive`] or [`Port::send`] said `WouldBlock`.
    fn descriptor(&self) -> RawFd;

    /// Takes the next frame: writes a header of the length that was set, whose `num_buffers` is whatever, and the frame
    /// behind it, and returns the length of both. What does not fit in `buffers` is lost, and not told of; they have room for
    /// the header at least.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): there is none now. [`Interrupted`](io::ErrorKind::Interrupted): try
    /// again. Any other: none will come any more, such as because the interface or the peer is gone.
    fn receive(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<usize>;

    /// Sends a frame: `buffers` hold a header of the length that was set and the frame behind it. Whatever they hold, only
    /// this frame can suffer.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): it was not sent; try again when the descriptor is writable.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): it makes no sense, and is dropped. Any other: it is dropped, too,
    /// and so may be those to come.
    fn send(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<()>;

    /// Sends what is left of a frame that [`Port::send`] took. To be called when there is no other frame to send.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): something is left; try again when the descriptor is writable. Any other: it
    /// is lost, as with `send`.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
#[path = "net_test.rs"]
mod tests;
