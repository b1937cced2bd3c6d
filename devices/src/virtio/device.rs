//! The interface between a virtio device and its transport.
//!
//! ```text
//!            driver sets FEATURES_OK, DRIVER_OK; or the machine resumes
//!   front ───────────── activate(Activation) ──────────▶ worker threads own queues and backend
//!         ◀───────── stop(Halt): their queues ──────────
//!            driver resets the device; or the machine pauses
//!         reset(): as if no driver had ever been there
//! ```

use std::{fmt::Debug, io, sync::Arc, time::Duration};

use arch::memory::GuestRam;
use virtio_queue::Queue;
use vmm_sys_util::eventfd::EventFd;

pub use crate::worker::Halt;
use crate::{pci::ClassCode, state::SaveState};

/// A kind of device, as a transport presents it to drivers and people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceKind {
    /// virtio 1.3, "Device Types".
    pub device_type: u16,
    /// PCI's class for it.
    pub class: ClassCode,
    /// QEMU's name for it, such as `virtio-blk`.
    pub name: &'static str,
}

/// The running device's connection to its driver. The transport implements it; workers hold it.
pub trait Notify: Send + Sync + Debug {
    /// Sends the interrupt of `queue`, whose buffers were used.
    fn used(&self, queue: u16);

    /// Notifies the driver that the device-specific configuration has changed.
    fn config_changed(&self);

    /// Makes writes to `event` send the interrupt of `queue` without any of nvmm's threads, as far as the transport can do that: the kernel
    /// consumes such a write. Other writes stay in `event`, as while the interrupt is masked, and the device calls [`Notify::used`] for
    /// them. This lasts until [`Notify::detach`].
    fn attach(&self, _queue: u16, _event: &Arc<EventFd>) {}

    /// Ends [`Notify::attach`].
    fn detach(&self, _queue: u16) {}

    /// Reports an error that the device can't recover from, such as a ring that makes no sense: sets `DEVICE_NEEDS_RESET` and sends the
    /// configuration interrupt.
    fn needs_reset(&self);
}

/// A virtqueue that the driver has enabled, owned by the device.
#[derive(Debug)]
pub struct ActiveQueue {
    /// The index in the device.
    pub index: u16,
    /// The rings: their sizes and addresses are set by the driver, and they are known to be in guest memory.
    pub queue: Queue,
    /// Written when the driver has made buffers available.
    pub kick: EventFd,
}

/// Everything that a device needs to run until it is stopped.
#[derive(Debug)]
pub struct Activation {
    /// Guest memory.
    pub memory: GuestRam,
    /// The negotiated feature bits.
    pub features: u64,
    /// The queues that the driver enabled, in order.
    pub queues: Vec<ActiveQueue>,
    /// The connection to the driver.
    pub notify: Arc<dyn Notify>,
}

/// A virtio device's front. Its back, made by [`VirtioDevice::activate`], is threads that own their queues.
///
/// The saved state does not include the queues and the negotiated features, which the transport keeps. It is saved while the device is
/// stopped, and loaded after [`VirtioDevice::features_agreed`], if that was called.
pub trait VirtioDevice: SaveState {
    /// The kind of the device. It never changes.
    fn kind(&self) -> DeviceKind;

    /// The feature bits to offer. The transport adds `VIRTIO_F_VERSION_1`.
    fn features(&self) -> u64;

    /// The largest size of each queue. The slice's length is the number of queues.
    fn queue_sizes(&self) -> &[u16];

    /// Reads the device-specific configuration. Bytes past its end read as zero. By default, there is none.
    fn read_config(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    /// Writes the device-specific configuration. Bytes that can't be written are ignored.
    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    /// Checks whether the device's back end has changed, and with it the configuration. Returns true if so; then the transport has to
    /// notify the driver.
    ///
    /// # Errors
    ///
    /// The host can't tell. The configuration stays as it is.
    fn measure(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// The PCI device ID for drivers from before virtio 1.0, if they may use the device: virtio 1.3, "PCI Device Discovery".
    fn transitional_id(&self) -> Option<u16> {
        None
    }

    /// Applies the `features` that the driver has chosen to the configuration. [`VirtioDevice::activate`] follows, or a reset. Without
    /// `VIRTIO_F_VERSION_1` it is a legacy driver, which may choose again.
    fn features_agreed(&mut self, _features: u64) {}

    /// Starts the device, on queues as the driver set them up, or as [`VirtioDevice::stop`] returned them. Buffers that are available
    /// already are served without a kick. On an error the transport sets `DEVICE_NEEDS_RESET`.
    ///
    /// # Errors
    ///
    /// The workers can't be started.
    fn activate(&mut self, activation: Activation) -> io::Result<()>;

    /// Tells the workers to stop, and waits for at most `patience`. Once no worker accesses guest memory any more, returns their queues
    /// with the positions at which they stopped. An idle device returns none, and broken queues are left out.
    ///
    /// `None` means that a worker is waiting for the host, for example for a disk that doesn't answer. It stops as soon as it can, and this
    /// has to be called again; after [`Halt::Pause`], [`Halt::Reset`] is also possible.
    fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>>;

    /// Forgets the driver and what was negotiated with it. Waits for workers that have not ended in [`VirtioDevice::stop`], however long
    /// that takes.
    fn reset(&mut self);
}
