//! The host's side of a network device, which sends and receives its frames.
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
    /// Work on a frame that its sender may leave to its receiver: virtio 1.3, "Feature bits" of the network device.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Offloads: u32 {
        /// The checksum has to be completed, or need not be checked. All other offloads need this one.
        const CSUM = 1 << 0;
        /// TCP segments of IPv4, longer than the MTU.
        const TSO4 = 1 << 1;
        /// TCP segments of IPv6.
        const TSO6 = 1 << 2;
        /// TCP segments with ECN; needs TSO4 or TSO6.
        const ECN = 1 << 3;
        /// UDP datagrams, sent as IP fragments.
        const UFO = 1 << 4;
        /// UDP datagrams of IPv4 and of IPv6, each cut into several datagrams.
        const USO = 1 << 5;
    }
}

impl Offloads {
    /// The offloads whose needs are also in the set.
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
    /// The name for people and for the inventory, such as `tap nvmm0`.
    fn name(&self) -> String;

    /// The largest number of ports, at least 1.
    fn most_ports(&self) -> u16;

    /// Receives frames only on the first `ports` ports. Frames that the other ports send are still delivered. At first, this is port 0
    /// alone.
    ///
    /// # Errors
    ///
    /// The host refuses.
    fn use_ports(&self, ports: u16) -> io::Result<()>;

    /// Port `index`, below [`Network::most_ports`].
    fn port(&self, index: u16) -> &dyn Port;

    /// The kernel's service for the queues of port `index`, if frames should use it. Either every port has one, or none has.
    fn vhost(&self, _index: u16) -> Option<Arc<dyn Vhost>> {
        None
    }

    /// Checks whether the host's side still exists.
    ///
    /// # Errors
    ///
    /// The network is gone for good, for this reason.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    /// A descriptor that becomes readable when [`Network::check`] may give another answer, until that is called; it stays readable if the
    /// side is gone. None if the host can't notify.
    fn news(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The MTU for the guest, if the host's side has one.
    fn mtu(&self) -> Option<u16> {
        None
    }

    /// Sets the length of the header before each frame: [`HEADER_LEN`], as at first, or [`LEGACY_HEADER_LEN`].
    ///
    /// # Errors
    ///
    /// The host refuses.
    fn set_header_len(&self, len: usize) -> io::Result<()>;

    /// The offloads that frames to the host may use.
    fn takes(&self) -> Offloads;

    /// The offloads that frames from the host can use.
    fn gives(&self) -> Offloads;

    /// Selects the offloads for frames from the host, from the next frame on. At first there are none.
    ///
    /// # Errors
    ///
    /// The host refuses. The offloads stay as before.
    fn give(&self, offloads: Offloads) -> io::Result<()>;
}

/// A way for frames, which never blocks. In each direction, one thread at a time may use it.
pub trait Port: Send + Sync + Debug {
    /// A descriptor that is readable when a frame has come, and writable when one can be sent. Frames may have been read ahead: wait for it
    /// only after [`Port::receive`] or [`Port::send`] returned `WouldBlock`.
    fn descriptor(&self) -> RawFd;

    /// Receives the next frame: writes a header of the length that was set and the frame after it, and returns the length of both. The
    /// header's `num_buffers` is undefined. Bytes that do not fit into `buffers`, which have room for at least the header, are lost without
    /// notice.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): there is no frame now. [`Interrupted`](io::ErrorKind::Interrupted): try again. Any other
    /// error: no frame will come any more, for example because the interface or the peer is gone.
    fn receive(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<usize>;

    /// Sends a frame: `buffers` hold a header of the length that was set, and the frame after it. Faulty contents damage no other frame.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): the frame was not sent; try again when the descriptor is writable.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): the frame makes no sense, and is dropped. Any other error: it is dropped, and later
    /// frames may be dropped too.
    fn send(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<()>;

    /// Sends the rest of a frame that [`Port::send`] accepted. To be called when there is no other frame to send.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): a rest remains; try again when the descriptor is writable. Any other error: it is lost,
    /// as with `send`.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
#[path = "net_test.rs"]
mod tests;
