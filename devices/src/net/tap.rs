//! Taps: interfaces of the host whose frames a program reads and writes.

pub(super) mod error;
mod open;

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::{Arc, Mutex, PoisonError},
};

use libc::{IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE, c_int, c_uint};
use vm_memory::VolatileSlice;

pub use self::error::{DescriptorError, TapError};
use super::{
    HEADER_LEN, InterfaceName, Network, Offloads, Port,
    ioctl::{self, Call},
    netlink::LinkNews,
};
use crate::{
    vectored,
    vhost::{Vhost, VhostError, VhostNet},
};

/// A tap or macvtap. One that this process made is removed when its descriptors are closed, however the process ends.
#[derive(Debug)]
pub struct Tap {
    name: String,
    interface: InterfaceName,
    /// The ports, of which the first ones are attached.
    ports: Vec<TapPort>,
    attached: Mutex<u16>,
    /// The offloads that the kernel supports.
    knows: Offloads,
    mtu: Option<u16>,
    /// The kernel's service, one for each port, or none.
    vhost: Vec<Arc<VhostNet>>,
    /// None if they are not available, as in a sandbox: then only reading shows that the tap is gone.
    news: Option<LinkNews>,
}

/// A queue of a tap. A queue that is not attached can send, but gets no frames.
#[derive(Debug)]
struct TapPort(File);

impl Tap {
    /// Makes a tap of `queues`, which are all attached. From now on only the first one is.
    fn new(
        name: String,
        interface: InterfaceName,
        queues: Vec<File>,
        mtu: Option<u16>,
    ) -> Result<Self, TapError> {
        let refused = |error| TapError::Refused(interface, error);
        let knows = known_offloads(&queues[0]).map_err(refused)?;
        for queue in &queues[1..] {
            attach(queue, false).map_err(refused)?;
        }
        let ports = queues.into_iter().map(TapPort).collect();
        let (attached, vhost) = (Mutex::new(1), Vec::new());
        let news = LinkNews::new().inspect_err(|error| log::debug!("{name}: no news of interfaces: {error}"));
        Ok(Self { name, interface, ports, attached, knows, mtu, vhost, news: news.ok() })
    }

    /// Changes its name in messages.
    pub(super) fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// Sets the MTU that it reports.
    pub(super) fn with_mtu(self, mtu: Option<u16>) -> Self {
        Self { mtu, ..self }
    }

    /// Makes the kernel serve the queues of devices (vhost-net).
    ///
    /// # Errors
    ///
    /// The kernel can't. Nothing changes.
    pub fn use_vhost(&mut self) -> Result<(), VhostError> {
        self.vhost =
            self.ports.iter().map(|port| VhostNet::open(&port.0).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The interface's name when it was opened.
    #[must_use]
    pub fn interface(&self) -> InterfaceName {
        self.interface
    }
}

impl Network for Tap {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn most_ports(&self) -> u16 {
        u16::try_from(self.ports.len()).unwrap_or(u16::MAX)
    }

    fn use_ports(&self, ports: u16) -> io::Result<()> {
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        let ports = ports.clamp(1, self.most_ports());
        while *attached < ports {
            attach(&self.ports[usize::from(*attached)].0, true)?;
            *attached += 1;
        }
        while *attached > ports {
            attach(&self.ports[usize::from(*attached - 1)].0, false)?;
            *attached -= 1;
        }
        Ok(())
    }

    fn port(&self, index: u16) -> &dyn Port {
        &self.ports[usize::from(index)]
    }

    fn vhost(&self, index: u16) -> Option<Arc<dyn Vhost>> {
        self.vhost.get(usize::from(index)).map(|vhost| Arc::clone(vhost) as Arc<dyn Vhost>)
    }

    fn check(&self) -> io::Result<()> {
        self.news.iter().for_each(LinkNews::take);
        // Reading and writing a macvtap that is gone give no error.
        ioctl::call(&self.ports[0].0, Call::TunGetInterface, &mut InterfaceName::NONE.request(&[]))
    }

    fn news(&self) -> Option<BorrowedFd<'_>> {
        self.news.as_ref().map(AsFd::as_fd)
    }

    fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    fn set_header_len(&self, len: usize) -> io::Result<()> {
        // A tap has one setting for all its queues, a macvtap one for each.
        self.ports.iter().try_for_each(|port| ioctl::set_header_len(&port.0, len))
    }

    fn takes(&self) -> Offloads {
        // The kernel accepts everything that its header can express; USO only if its taps know USO.
        Offloads::all() - (Offloads::USO - self.knows)
    }

    fn gives(&self) -> Offloads {
        self.knows
    }

    fn give(&self, offloads: Offloads) -> io::Result<()> {
        ioctl::set_offloads(&self.ports[0].0, kernel_offloads(offloads))
    }
}

impl Port for TapPort {
    fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    fn receive(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<usize> {
        vectored::receive(&self.0, buffers)
    }

    fn send(&self, buffers: &[VolatileSlice<'_>]) -> io::Result<()> {
        loop {
            match vectored::send(&self.0, buffers) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The kernel ignores a write of no bytes.
                Ok(0) => return Err(io::ErrorKind::InvalidInput.into()),
                sent => return sent.map(drop),
            }
        }
    }
}

fn attach(queue: &File, attached: bool) -> io::Result<()> {
    let flag = if attached { IFF_ATTACH_QUEUE } else { IFF_DETACH_QUEUE };
    ioctl::call(queue, Call::TunSetQueue, &mut InterfaceName::NONE.request(&flags(flag)))
}

/// Flags in the form of a `struct ifreq`.
fn flags(flags: c_int) -> [u8; 2] {
    let [a, b, ..] = flags.to_ne_bytes();
    [a, b]
}

fn set_header(queue: impl AsFd) -> io::Result<()> {
    ioctl::set_header_len(queue, HEADER_LEN)
}

/// The offloads that the kernel supports, found by trying them from most to fewest. All are off afterwards.
fn known_offloads(queue: &File) -> io::Result<Offloads> {
    let all = Offloads::all();
    let candidates = [
        all,
        all - Offloads::USO,
        // Linux 4.14 has no UFO.
        all - Offloads::USO - Offloads::UFO,
        Offloads::CSUM,
    ];
    let knows = |&offloads: &Offloads| ioctl::set_offloads(queue, kernel_offloads(offloads)).is_ok();
    let known = candidates.into_iter().find(knows).unwrap_or_default();
    ioctl::set_offloads(queue, 0)?;
    Ok(known)
}

/// Converts to `TUN_F_*` flags.
fn kernel_offloads(offloads: Offloads) -> c_uint {
    let kernel = |offload| match offload {
        Offloads::CSUM => libc::TUN_F_CSUM,
        Offloads::TSO4 => libc::TUN_F_TSO4,
        Offloads::TSO6 => libc::TUN_F_TSO6,
        Offloads::ECN => libc::TUN_F_TSO_ECN,
        Offloads::UFO => libc::TUN_F_UFO,
        Offloads::USO => libc::TUN_F_USO4 | libc::TUN_F_USO6,
        _ => 0,
    };
    offloads.usable().iter().map(kernel).fold(0, |all, one| all | one)
}

#[cfg(test)]
#[path = "tap_test.rs"]
mod tests;
