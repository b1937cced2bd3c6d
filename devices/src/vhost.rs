//! vhost: the kernel serves queues of a virtio device itself, and their data doesn't pass through this process.

mod net;
mod vsock;

use std::{
    fmt::Debug,
    fs::{File, OpenOptions},
    io,
    os::fd::{AsRawFd, RawFd},
};

use arch::memory::GuestRam;
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData, vhost_kern::VhostKernBackend};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_queue::{Queue, QueueT};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::EventFd;

pub(crate) use self::net::VhostNet;
pub use self::vsock::{VhostSockets, VhostVsock, VhostVsockError};

/// linux/vhost_types.h, `VHOST_F_LOG_ALL`: the kernel records the pages of buffers that it writes to.
const LOG_ALL: u64 = 1 << 26;
/// `VHOST_VRING_F_LOG`: the kernel also records writes to a used ring.
const LOG_RING: u32 = 1;

/// Reasons why the kernel can't serve queues.
#[derive(Debug, thiserror::Error)]
pub enum VhostError {
    /// The device node can't be opened.
    #[error(
        "can't open {path}; load the kernel's module with `modprobe {module}`, and let this user read and write {path} (on Debian the \
         group kvm may), or {without}",
        path = .0.path,
        module = .0.module,
        without = .0.without
    )]
    Open(&'static Node, #[source] io::Error),
    /// The device node is something else, or too old.
    #[error("{path} can't be used; {without}", path = .0.path, without = .0.without)]
    Unusable(&'static Node, #[source] io::Error),
}

/// A device node of vhost. Debian's udev makes it for root and the group kvm, and opening it loads the module.
#[derive(Debug)]
pub struct Node {
    path: &'static str,
    module: &'static str,
    /// The way to run without it, for messages.
    without: &'static str,
}

/// A queue for the kernel to serve.
#[derive(Clone, Copy, Debug)]
pub struct Vring<'a> {
    /// The index among the queues of the vhost device.
    pub index: usize,
    /// The rings, and the position to continue from.
    pub queue: &'a Queue,
    /// Written when the driver has made buffers available.
    pub kick: &'a EventFd,
    /// Written when buffers were used and the driver wants an interrupt.
    pub call: &'a EventFd,
    /// Written when the rings make no sense.
    pub error: &'a EventFd,
}

/// The kernel's service for queues of a virtio device.
pub trait Vhost: Send + Sync + Debug {
    /// The feature bits that the kernel supports.
    fn features(&self) -> u64;

    /// Sets up queues of a driver that has accepted `features`, while none is served. The kernel gets those of the bits that it supports.
    /// While `memory` records writes, the kernel records its own there.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    fn set_up(&self, memory: &GuestRam, features: u64, vrings: &[Vring<'_>]) -> io::Result<()>;

    /// Makes the kernel serve the queues with these indices, which were set up, or stop that. Afterwards it accesses guest memory no more.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    fn serve(&self, indices: &[usize], served: bool) -> io::Result<()>;

    /// Returns the position in the available ring of queue `index`, which is not served.
    ///
    /// # Errors
    ///
    /// The kernel refuses.
    fn position(&self, index: usize) -> io::Result<u16>;
}

/// An open vhost device of any kind, owned by this process.
#[derive(Debug)]
struct Device {
    file: File,
    features: u64,
}

impl Device {
    fn open(node: &'static Node) -> Result<Self, VhostError> {
        let open = OpenOptions::new().read(true).write(true).open(node.path);
        let file = open.map_err(|error| VhostError::Open(node, error))?;
        let unusable = |error| VhostError::Unusable(node, error);
        let nowhere = GuestRam::default();
        let handle = Handle { file: &file, memory: &nowhere };
        handle.set_owner().map_err(other).map_err(unusable)?;
        let features = handle.get_features().map_err(other).map_err(unusable)?;
        if features & 1 << VIRTIO_F_VERSION_1 == 0 {
            return Err(unusable(io::Error::new(io::ErrorKind::Unsupported, "it knows no virtio 1.0")));
        }
        Ok(Self { file, features })
    }

    /// Implements [`Vhost::set_up`].
    fn set_up(&self, memory: &GuestRam, features: u64, vrings: &[Vring<'_>]) -> io::Result<()> {
        let handle = Handle { file: &self.file, memory };
        let written = memory.written();
        let mut features = features & self.features & !LOG_ALL;
        if written.is_on() {
            if self.features & LOG_ALL == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "this kernel's vhost notes no writes",
                ));
            }
            features |= LOG_ALL;
            // The words exist as long as the memory, which the caller keeps while a queue is served.
            let words = written.words().as_ptr().expose_provenance() as u64;
            handle.set_log_base(words, None).map_err(other)?;
        }
        handle.set_features(features).map_err(other)?;
        let regions = memory.iter().map(|region| VhostUserMemoryRegionInfo {
            guest_phys_addr: region.start_addr().raw_value(),
            memory_size: region.len(),
            userspace_addr: region.userspace_addr() as u64,
            ..Default::default()
        });
        handle.set_mem_table(&regions.collect::<Vec<_>>()).map_err(other)?;
        for &Vring { index, queue, kick, call, error } in vrings {
            let rings = VringConfigData {
                queue_max_size: queue.max_size(),
                queue_size: queue.size(),
                flags: if written.is_on() { LOG_RING } else { 0 },
                desc_table_addr: queue.desc_table(),
                used_ring_addr: queue.used_ring(),
                avail_ring_addr: queue.avail_ring(),
                log_addr: written.is_on().then(|| queue.used_ring()),
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

    /// Implements [`Vhost::position`].
    fn position(&self, index: usize) -> io::Result<u16> {
        let nowhere = GuestRam::default();
        let handle = Handle { file: &self.file, memory: &nowhere };
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

/// The device, in the vhost crate's form.
#[derive(Debug)]
struct Handle<'a> {
    file: &'a File,
    memory: &'a GuestRam,
}

impl AsRawFd for Handle<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl<'a> VhostKernBackend for Handle<'a> {
    type AS = &'a GuestRam;

    fn mem(&self) -> &&'a GuestRam {
        &self.memory
    }

    /// The transport has checked that the rings are in memory. The crate's own check refuses a ring at the very end of memory.
    fn is_valid(&self, _rings: &VringConfigData) -> bool {
        true
    }
}
