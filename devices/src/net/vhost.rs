//! vhost-net: the kernel serves the queues of a port itself, and no frame passes through this process.

#![expect(unsafe_code, reason = "an ioctl that the vhost crate has only for a device that it opens itself")]

use std::{
    fmt::Debug,
    fs::{File, OpenOptions},
    io,
    os::fd::{AsRawFd, RawFd},
};

use arch::memory::GuestRam;
use vhost::{
    VhostBackend, VhostUserMemoryRegionInfo, VringConfigData,
    vhost_kern::{
        VhostKernBackend,
        vhost_binding::{VHOST_NET_SET_BACKEND, vhost_vring_file},
    },
};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_queue::{Queue, QueueT};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::{eventfd::EventFd, ioctl::ioctl_with_ref};

/// The device node. Debian's udev makes it for root and the group kvm, and opening it loads the module.
const PATH: &str = "/dev/vhost-net";

/// Why the kernel can't serve queues.
#[derive(Debug, thiserror::Error)]
pub enum VhostError {
    /// The device node can't be opened.
    #[error(
        "can't open {PATH}; load the kernel's module with `modprobe vhost_net`, and let this user read and write \
         {PATH} (on Debian the group kvm may), or leave vhost=on out"
    )]
    Open(#[source] io::Error),
    /// The device is none, or is too old.
    #[error("{PATH} can't be used; leave vhost=on out")]
    Unusable(#[source] io::Error),
}

/// A port's queue as the kernel is to serve it.
#[derive(Clone, Copy, Debug)]
pub struct VhostQueue<'a> {
    /// 0: frames to the guest. 1: frames from it.
    pub index: usize,
    /// Its rings, and the position to go on from.
    pub queue: &'a Queue,
    /// Written when the driver has made buffers available.
    pub kick: &'a EventFd,
    /// Written when buffers were used and the driver wants an interrupt.
    pub call: &'a EventFd,
    /// Written when the rings make no sense.
    pub error: &'a EventFd,
}

/// The kernel's service for the two queues of a port.
pub trait Vhost: Send + Sync + Debug {
    /// The feature bits of queues and of [`HEADER_LEN`](super::HEADER_LEN) that the kernel knows.
    fn features(&self) -> u64;

    /// Sets up queues of a driver that took `features`, while none is served.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    fn set_up(&self, memory: &GuestRam, features: u64, queues: &[VhostQueue<'_>]) -> io::Result<()>;

    /// Has the kernel serve queue `index`, which was set up, or end that: then it touches guest memory no more.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    fn serve(&self, index: usize, served: bool) -> io::Result<()>;

    /// Returns the position in the available ring of queue `index`, which is not served.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    fn position(&self, index: usize) -> io::Result<u16>;
}

/// [`Vhost`] by `/dev/vhost-net`, for a tap.
#[derive(Debug)]
pub(super) struct VhostNet {
    device: File,
    tap: File,
    features: u64,
}

impl VhostNet {
    /// Opens the device for the tap that `tap` is a queue of. This process is its owner.
    pub(super) fn open(tap: &File) -> Result<Self, VhostError> {
        let device = OpenOptions::new().read(true).write(true).open(PATH).map_err(VhostError::Open)?;
        let nowhere = GuestRam::default();
        let handle = Handle { device: &device, memory: &nowhere };
        handle.set_owner().map_err(other).map_err(VhostError::Unusable)?;
        let features = handle.get_features().map_err(other).map_err(VhostError::Unusable)?;
        if features & 1 << VIRTIO_F_VERSION_1 == 0 {
            let error = io::Error::new(io::ErrorKind::Unsupported, "it knows no virtio 1.0");
            return Err(VhostError::Unusable(error));
        }
        let tap = tap.try_clone().map_err(VhostError::Unusable)?;
        Ok(Self { device, tap, features })
    }
}

impl Vhost for VhostNet {
    fn features(&self) -> u64 {
        self.features
    }

    fn set_up(&self, memory: &GuestRam, features: u64, queues: &[VhostQueue<'_>]) -> io::Result<()> {
        let handle = Handle { device: &self.device, memory };
        handle.set_features(features & self.features).map_err(other)?;
        let regions = memory.iter().map(|region| VhostUserMemoryRegionInfo {
            guest_phys_addr: region.start_addr().raw_value(),
            memory_size: region.len(),
            userspace_addr: region.userspace_addr() as u64,
            ..Default::default()
        });
        handle.set_mem_table(&regions.collect::<Vec<_>>()).map_err(other)?;
        for &VhostQueue { index, queue, kick, call, error } in queues {
            let rings = VringConfigData {
                queue_max_size: queue.max_size(),
                queue_size: queue.size(),
                flags: 0,
                desc_table_addr: queue.desc_table(),
                used_ring_addr: queue.used_ring(),
                avail_ring_addr: queue.avail_ring(),
                log_addr: None,
            };
            handle.set_vring_num(index, queue.size()).map_err(other)?;
            handle.set_vring_base(index, queue.next_avail()).map_err(other)?;
            handle.set_vring_addr(index, &rings).map_err(other)?;
            handle.set_vring_kick(index, kick).map_err(other)?;
            handle.set_vring_call(index, call).map_err(other)?;
            handle.set_vring_err(index, error).map_err(other)?;
        }
        Ok(())
    }

    fn serve(&self, index: usize, served: bool) -> io::Result<()> {
        let index = u32::try_from(index).map_err(io::Error::other)?;
        let fd = if served { self.tap.as_raw_fd() } else { -1 };
        let backend = vhost_vring_file { index, fd };
        // SAFETY: the kernel reads a `vhost_vring_file`. It touches guest memory by what `set_up` told it, whose caller keeps it.
        match unsafe { ioctl_with_ref(&self.device, VHOST_NET_SET_BACKEND(), &backend) } {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn position(&self, index: usize) -> io::Result<u16> {
        let nowhere = GuestRam::default();
        let handle = Handle { device: &self.device, memory: &nowhere };
        let position = handle.get_vring_base(index).map_err(other)?;
        u16::try_from(position).map_err(io::Error::other)
    }
}

fn other(error: vhost::Error) -> io::Error {
    match error {
        vhost::Error::IoctlError(error) => error,
        error => io::Error::other(error),
    }
}

/// The device, as the vhost crate speaks to it.
#[derive(Debug)]
struct Handle<'a> {
    device: &'a File,
    memory: &'a GuestRam,
}

impl AsRawFd for Handle<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}

impl<'a> VhostKernBackend for Handle<'a> {
    type AS = &'a GuestRam;

    fn mem(&self) -> &&'a GuestRam {
        &self.memory
    }

    /// The transport has found the rings in memory. The crate's own look refuses a ring at the very end of it.
    fn is_valid(&self, _rings: &VringConfigData) -> bool {
        true
    }
}
