//! vhost-net: the kernel moves the frames of a tap.

#![expect(unsafe_code, reason = "an ioctl that the vhost crate has only for a device that it opens itself")]

use std::{fs::File, io, os::fd::AsRawFd};

use arch::memory::GuestRam;
use vhost::vhost_kern::vhost_binding::{VHOST_NET_SET_BACKEND, vhost_vring_file};
use vmm_sys_util::ioctl::ioctl_with_ref;

use super::{Device, Node, Vhost, VhostError, Vring};

const NODE: Node = Node { path: "/dev/vhost-net", module: "vhost_net", without: "leave vhost=on out" };

/// [`Vhost`] by `/dev/vhost-net`, for a queue of a tap. Queue 0 has frames to the guest, queue 1 frames from it.
#[derive(Debug)]
pub(crate) struct VhostNet {
    device: Device,
    tap: File,
}

impl VhostNet {
    /// Opens the device for the tap with the queue `tap`.
    pub(crate) fn open(tap: &File) -> Result<Self, VhostError> {
        let device = Device::open(&NODE)?;
        let tap = tap.try_clone().map_err(|error| VhostError::Unusable(&NODE, error))?;
        Ok(Self { device, tap })
    }

    /// Connects queue `index` to the tap, or disconnects it.
    fn set_backend(&self, index: usize, served: bool) -> io::Result<()> {
        let index = u32::try_from(index).map_err(io::Error::other)?;
        let fd = if served { self.tap.as_raw_fd() } else { -1 };
        let backend = vhost_vring_file { index, fd };
        // SAFETY: the kernel reads a `vhost_vring_file`. It accesses guest memory as set by `set_up`, whose caller keeps it.
        match unsafe { ioctl_with_ref(&self.device.file, VHOST_NET_SET_BACKEND(), &backend) } {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Vhost for VhostNet {
    /// The features of queues, and the one for [`HEADER_LEN`](crate::net::HEADER_LEN).
    fn features(&self) -> u64 {
        self.device.features
    }

    fn set_up(&self, memory: &GuestRam, features: u64, vrings: &[Vring<'_>]) -> io::Result<()> {
        self.device.set_up(memory, features, vrings)
    }

    fn serve(&self, indices: &[usize], served: bool) -> io::Result<()> {
        // If one of several can't be stopped, the others still are.
        let set = indices.iter().map(|index| self.set_backend(*index, served));
        set.fold(Ok(()), io::Result::and)
    }

    fn position(&self, index: usize) -> io::Result<u16> {
        self.device.position(index)
    }
}
