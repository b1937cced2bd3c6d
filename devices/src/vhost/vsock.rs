//! vhost-vsock: the kernel moves the packets of a socket device, and programs of the host use `AF_VSOCK`.

#![expect(unsafe_code, reason = "ioctls that the vhost crate has only for a device that it opens itself")]

use std::{
    ffi::c_int,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use arch::memory::GuestRam;
use vhost::vhost_kern::vhost_binding::{VHOST_VSOCK_SET_GUEST_CID, VHOST_VSOCK_SET_RUNNING};
use vmm_sys_util::ioctl::ioctl_with_ref;

use super::{Device, Node, Vhost, VhostError, Vring};

const NODE: Node = Node {
    path: "/dev/vhost-vsock",
    module: "vhost_vsock",
    without: "add uds=PATH, a unix socket that programs of the host connect to instead",
};

/// Reasons why the kernel can't serve a socket device.
#[derive(Debug, thiserror::Error)]
pub enum VhostVsockError {
    /// The kernel has no vhost-vsock.
    #[error(transparent)]
    Vhost(#[from] VhostError),
    /// Another guest has this address.
    #[error("another guest of this host has the address {0}; give another number")]
    InUse(u32),
    /// The kernel refuses the address.
    #[error("the kernel refuses the address {0}; give another number")]
    Refused(u32, #[source] io::Error),
}

/// The kernel's service for a socket device: queue 0 has packets to the guest, queue 1 packets from it.
pub trait VhostSockets: Vhost {
    /// The guest's address.
    fn cid(&self) -> u32;

    /// Ends the connections between programs of the host and of the guest. No queue may be served meanwhile.
    ///
    /// # Errors
    ///
    /// The kernel refuses. The connections have ended, but no queue can be served until another call succeeds.
    fn end_connections(&self) -> io::Result<()>;
}

/// [`VhostSockets`] by `/dev/vhost-vsock`. While it exists, no other guest has this address.
#[derive(Debug)]
pub struct VhostVsock {
    cid: u32,
    features: u64,
    /// None in a machine that will not run, or after the kernel has refused to reopen it.
    device: Mutex<Option<Device>>,
}

impl VhostVsock {
    /// Opens the device for a guest with the address `cid`.
    ///
    /// # Errors
    ///
    /// The kernel has no vhost-vsock, this user may not use it, or another guest has the address.
    pub fn open(cid: u32) -> Result<Self, VhostVsockError> {
        let device = open(cid)?;
        Ok(Self { cid, features: device.features, device: Mutex::new(Some(device)) })
    }

    /// A device that is not opened, for a machine that will not run.
    #[must_use]
    pub fn planned(cid: u32) -> Self {
        Self { cid, features: 0, device: Mutex::new(None) }
    }

    fn device(&self) -> MutexGuard<'_, Option<Device>> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, what: impl FnOnce(&Device) -> io::Result<T>) -> io::Result<T> {
        what(self.device().as_ref().ok_or(io::ErrorKind::NotConnected)?)
    }
}

/// Opens the device, with the guest's address.
fn open(cid: u32) -> Result<Device, VhostVsockError> {
    let device = Device::open(&NODE)?;
    match set_cid(&device, cid) {
        Ok(()) => Ok(device),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(VhostVsockError::InUse(cid)),
        Err(error) => Err(VhostVsockError::Refused(cid, error)),
    }
}

fn set_cid(device: &Device, cid: u32) -> io::Result<()> {
    // SAFETY: the kernel reads a number of 64 bits.
    check(unsafe { ioctl_with_ref(&device.file, VHOST_VSOCK_SET_GUEST_CID(), &u64::from(cid)) })
}

fn set_running(device: &Device, running: bool) -> io::Result<()> {
    // SAFETY: the kernel reads an int. It accesses guest memory as set by `set_up`, whose caller keeps it.
    check(unsafe { ioctl_with_ref(&device.file, VHOST_VSOCK_SET_RUNNING(), &c_int::from(running)) })
}

fn check(answer: c_int) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

impl Vhost for VhostVsock {
    fn features(&self) -> u64 {
        self.features
    }

    fn set_up(&self, memory: &GuestRam, features: u64, vrings: &[Vring<'_>]) -> io::Result<()> {
        self.with(|device| device.set_up(memory, features, vrings))
    }

    /// Both queues are served, or neither.
    fn serve(&self, _indices: &[usize], served: bool) -> io::Result<()> {
        match &*self.device() {
            Some(device) => set_running(device, served),
            None if served => Err(io::ErrorKind::NotConnected.into()),
            None => Ok(()),
        }
    }

    fn position(&self, index: usize) -> io::Result<u16> {
        self.with(|device| device.position(index))
    }
}

impl VhostSockets for VhostVsock {
    fn cid(&self) -> u32 {
        self.cid
    }

    /// Only closing the device makes the kernel end them: it looks for connections whose guest is gone.
    fn end_connections(&self) -> io::Result<()> {
        let mut device = self.device();
        *device = None;
        *device = Some(open(self.cid).map_err(io::Error::other)?);
        Ok(())
    }
}

#[cfg(test)]
#[path = "vsock_test.rs"]
mod tests;
