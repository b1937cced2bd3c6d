//! A virtio device as its transport sees it.
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

/// A sort of device, as a transport shows it to drivers and people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceKind {
    /// virtio 1.3, "Device Types".
    pub device_type: u16,
    /// PCI's class for it.
    pub class: ClassCode,
    /// The name that QEMU has for it, such as `virtio-blk`.
    pub name: &'static str,
}

/// The way by which a running device reaches its driver. The transport implements it; workers hold it.
pub trait Notify: Send + Sync + Debug {
    /// Buffers of `queue` were used: sends the queue's interrupt.
    fn used(&self, queue: u16);

    /// The device-specific configuration changed.
    fn config_changed(&self);

    /// Has writes to `event` send the interrupt of `queue` without any of nvmm's threads, as far as the transport can: the kernel takes
    /// such a write. Others stay in `event`, such as while the interrupt is masked, or always, and the device calls [`Notify::used`] for
    /// them. It holds until [`Notify::detach`].
    fn attach(&self, _queue: u16, _event: &Arc<EventFd>) {}

    /// Ends what [`Notify::attach`] began.
    fn detach(&self, _queue: u16) {}

    /// The device met something it can't go on from, such as a ring that makes no sense: sets
    /// `DEVICE_NEEDS_RESET` and sends the configuration interrupt.
    fn needs_reset(&self);
}

/// A virtqueue that the driver has enabled, moved into the device.
#[derive(Debug)]
pub struct ActiveQueue {
    /// Its number in the device.
    pub index: u16,
    /// The rings; sized, placed and enabled by the driver, and found to lie in guest memory.
    pub queue: Queue,
    /// Written when the driver has made buffers available.
    pub kick: EventFd,
}

/// All that a device runs with until it is stopped.
#[derive(Debug)]
pub struct Activation {
    /// Guest memory.
    pub memory: GuestRam,
    /// Feature bits that both sides agreed on.
    pub features: u64,
    /// The queues that the driver enabled, in order.
    pub queues: Vec<ActiveQueue>,
    /// The way back to the driver.
    pub notify: Arc<dyn Notify>,
}

/// A virtio device's front. Its back, made by [`VirtioDevice::activate`], is threads that own their queues.
///
/// Its state is its own alone: the transport keeps the queues and what was agreed on. It is saved while the device is stopped, and taken up after
/// [`VirtioDevice::features_agreed`], if that was called.
pub trait VirtioDevice: SaveState {
    /// The sort of device this is. It never changes.
    fn kind(&self) -> DeviceKind;

    /// Feature bits offered. `VIRTIO_F_VERSION_1` is the transport's to add.
    fn features(&self) -> u64;

    /// The greatest size of each queue; its length is the number of queues.
    fn queue_sizes(&self) -> &[u16];

    /// Reads the device-specific configuration; bytes past its end read as zero. There is none, unless it says so.
    fn read_config(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    /// Writes the device-specific configuration; what is not writable is ignored.
    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    /// Looks whether what is behind the device has changed, and with it the configuration; `true` if so. It is for the
    /// transport to tell the driver.
    ///
    /// # Errors
    ///
    /// The host can't tell. The configuration stays as it is.
    fn measure(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// The PCI device ID by which drivers from before virtio 1.0 know the device, if they are to find it: virtio 1.3, "PCI Device Discovery".
    fn transitional_id(&self) -> Option<u16> {
        None
    }

    /// The driver has chosen `features` of those offered: the configuration that depends on them is now as they say.
    /// [`VirtioDevice::activate`] follows, or a reset. Without `VIRTIO_F_VERSION_1` it is a legacy driver, which may choose again.
    fn features_agreed(&mut self, _features: u64) {}

    /// Starts working: on queues as the driver set them up, or where [`VirtioDevice::stop`] left them. What is available by
    /// then is served without a kick. On an error the transport sets `DEVICE_NEEDS_RESET`.
    ///
    /// # Errors
    ///
    /// Whatever keeps the workers from starting.
    fn activate(&mut self, activation: Activation) -> io::Result<()>;

    /// Tells the workers to stop, and waits for at most `patience`. Returns their queues, with the positions where they
    /// stopped, once no worker touches guest memory any more: none from an idle device, nor those that can't be served
    /// further.
    ///
    /// `None`: a worker waits for the host, such as for a disk that doesn't answer. It stops as soon as it can, and this is
    /// to be called again; after [`Halt::Pause`], also with [`Halt::Reset`].
    fn stop(&mut self, halt: Halt, patience: Duration) -> Option<Vec<(u16, Queue)>>;

    /// Forgets the driver and what was agreed with it. It waits for workers that [`VirtioDevice::stop`] has not seen end,
    /// however long that takes.
    fn reset(&mut self);
}
