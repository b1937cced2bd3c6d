//! The transport: virtio 1.3, "Virtio Over PCI Bus". A transitional device also has the legacy interface, in an I/O BAR.

mod capability;
mod common;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod identity;
mod interrupt;
mod queue;
mod state;
#[cfg(test)]
mod test_guest;

use std::{io, ops::Range, sync::Arc, time::Duration};

use arch::{layout, memory::GuestRam};
use zerocopy::FromZeros;

use self::{
    capability::{Capability, ConfigAccessCapability, NotifyCapability, Structure},
    common::{Common, CommonConfig, LEGACY_LEN, LEGACY_NOTIFY},
    identity::identity,
    interrupt::{Interrupts, Status},
};
use super::device::{Notify, VirtioDevice};
use crate::{
    bus::Effect,
    irq::{Line, Msi},
    pci::{
        Bar, BarError, BarSpace, ConfigSpace, Doorbell, Lifecycle, MessageControl, Msix, MsixCapability,
        PciAddress, PciFunction, overlap,
    },
};

/// The register of the legacy interface's I/O BAR, if there is one: virtio 1.3, "Legacy Interfaces: A Note on PCI Device Layout".
const LEGACY_BAR: u8 = 0;
/// The size. The longest configuration of a device is virtio-blk's, of 60 bytes.
const LEGACY_BAR_SIZE: u64 = 128;
const _: () = assert!(LEGACY_LEN as u64 + 60 <= LEGACY_BAR_SIZE);

/// Each structure has a page in the memory BAR.
const PAGE: u32 = 0x1000;
const COMMON: u32 = 0;
const ISR: u32 = PAGE;
const DEVICE: u32 = 2 * PAGE;
const NOTIFY: u32 = 3 * PAGE;
const MSIX_TABLE: u32 = 4 * PAGE;
const MSIX_PENDING: u32 = 5 * PAGE;

/// `notify_off_multiplier`: each queue has a double word of its own, and so an ioeventfd.
const NOTIFY_STRIDE: u32 = 4;

/// Reasons why a device can't use this transport.
#[derive(Debug, thiserror::Error)]
pub enum VirtioPciError {
    /// The BAR has no room for the queues' notifications.
    #[error("a virtio device with {0} queues: {max} are possible", max = VirtioPci::MAX_QUEUES)]
    Queues(usize),
    /// The BAR has no room for the vectors, or there are none.
    #[error("a virtio device with {0} interrupt vectors: 1 to {max} are possible", max = VirtioPci::MAX_VECTORS)]
    Vectors(usize),
    /// The function can't have its BAR.
    #[error("a virtio device")]
    Bar(#[from] BarError),
    /// The host has no eventfd left for a queue.
    #[error("can't make an eventfd")]
    EventFd(#[source] io::Error),
}

/// A virtio device as a PCI function. All structures of virtio 1.0 are in one memory BAR.
#[derive(Debug)]
pub struct VirtioPci {
    config: ConfigSpace,
    /// The register of the memory BAR.
    memory_bar: u8,
    /// The offsets of the MSI-X capability and of the configuration access capability.
    msix_capability: usize,
    config_access: usize,
    msix: Msix,
    common: Common,
}

impl VirtioPci {
    /// The size of the memory BAR.
    const BAR_SIZE: u64 = 8 * PAGE as u64;
    /// The most queues: their notifications are in one page.
    pub const MAX_QUEUES: usize = (PAGE / NOTIFY_STRIDE) as usize;
    /// The most MSI-X vectors: the table is in one page.
    pub const MAX_VECTORS: usize = PAGE as usize / Msix::ENTRY_LEN;

    /// Makes `device` the function at `address`, whose BARs are still to be placed. It interrupts by `line`, which is its own input to the
    /// GSI of the function's INTx pin, until the driver enables `vectors`: ideally one for each queue and one for the configuration.
    ///
    /// # Errors
    ///
    /// There are too many queues or vectors, or an eventfd can't be made.
    pub fn new(
        address: PciAddress,
        device: Box<dyn VirtioDevice>,
        memory: GuestRam,
        line: Arc<dyn Line>,
        vectors: Vec<Arc<dyn Msi>>,
    ) -> Result<Self, VirtioPciError> {
        let queues = device.queue_sizes().len();
        if queues > Self::MAX_QUEUES {
            return Err(VirtioPciError::Queues(queues));
        }
        let vector_count = u16::try_from(vectors.len()).ok();
        let vector_count = vector_count.filter(|&count| (1..=Self::MAX_VECTORS).contains(&count.into()));
        let vector_count = vector_count.ok_or(VirtioPciError::Vectors(vectors.len()))?;

        let mut config = ConfigSpace::new(identity(&*device));
        let is_transitional = device.transitional_id().is_some();
        if is_transitional {
            config.add_bar(Bar::new(LEGACY_BAR, BarSpace::Io, LEGACY_BAR_SIZE)?)?;
        }
        let memory_bar = if is_transitional { LEGACY_BAR + 1 } else { 0 };
        config.add_bar(Bar::new(memory_bar, BarSpace::Memory32, Self::BAR_SIZE)?)?;
        let pin = layout::pci_intx_pin(address.function());
        let gsi = layout::pci_intx_gsi(address.device(), pin);
        config.set_interrupt(pin + 1, u8::try_from(gsi).unwrap_or(u8::MAX));
        let msix_capability = config.add_capability(
            &MsixCapability::new(vector_count, memory_bar, MSIX_TABLE, MSIX_PENDING),
            &MsixCapability::writable(),
        );
        let common_len = u32::try_from(size_of::<CommonConfig>()).unwrap_or(PAGE);
        for capability in [
            Capability::new(Structure::Common, memory_bar, COMMON, common_len),
            Capability::new(Structure::Isr, memory_bar, ISR, 1),
            Capability::new(Structure::Device, memory_bar, DEVICE, PAGE),
        ] {
            config.add_capability(&capability, &Capability::new_zeroed());
        }
        config.add_capability(
            &NotifyCapability::new(memory_bar, NOTIFY, PAGE, NOTIFY_STRIDE),
            &NotifyCapability::new_zeroed(),
        );
        let config_access =
            config.add_capability(&ConfigAccessCapability::new(), &ConfigAccessCapability::writable());

        let msix = Msix::new(vectors);
        let interrupts = Arc::new(Interrupts::new(queues, Arc::clone(msix.vectors()), line));
        Ok(Self {
            config,
            memory_bar,
            msix_capability,
            config_access,
            msix,
            common: Common::new(device, memory, interrupts).map_err(VirtioPciError::EventFd)?,
        })
    }

    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let (page, offset) = split(offset);
        match page {
            COMMON => self.common.read(offset, data),
            ISR => {
                data.fill(0);
                if let (0, Some(isr)) = (offset, data.first_mut()) {
                    *isr = self.common.interrupts().take_isr();
                }
            }
            DEVICE => self.common.device().read_config(offset, data),
            MSIX_TABLE => self.msix.read_table(offset, data),
            MSIX_PENDING => self.msix.read_pending(offset, data),
            _ => data.fill(0),
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let (page, offset) = split(offset);
        match page {
            COMMON => return self.follow_driver(|common| common.write(offset, data)),
            DEVICE => self.common.device().write_config(offset, data),
            NOTIFY if offset.is_multiple_of(NOTIFY_STRIDE.into()) => {
                self.common.kick(offset / u64::from(NOTIFY_STRIDE));
            }
            MSIX_TABLE => self.msix.write_table(offset, data),
            _ => {}
        }
        Effect::None
    }

    /// Returns whether a driver uses the device. After a reset it doesn't, even as long as the status reads as before.
    fn driver_ok(&self) -> bool {
        self.common.interrupts().status().contains(Status::DRIVER_OK) && !self.common.is_resetting()
    }

    /// Makes a write by which a driver may begin or stop to use the device.
    fn follow_driver(&mut self, write: impl FnOnce(&mut Common)) -> Effect {
        let before = self.driver_ok();
        write(&mut self.common);
        if before == self.driver_ok() { Effect::None } else { Effect::Decode }
    }

    /// Returns whether `bar` is that of the legacy interface.
    fn is_legacy(&self, bar: u8) -> bool {
        bar != self.memory_bar
    }

    /// The access to which the configuration access capability is set, if it is a naturally aligned one to the memory BAR.
    fn window(&self) -> Option<(u64, usize)> {
        let field = |field| u32::from_le_bytes(self.config.get(self.config_access + field));
        let [bar] = self.config.get(self.config_access + ConfigAccessCapability::BAR);
        let offset = field(ConfigAccessCapability::OFFSET);
        let length = field(ConfigAccessCapability::LENGTH);
        let reaches = bar == self.memory_bar && matches!(length, 1 | 2 | 4) && offset.is_multiple_of(length);
        let offset = u64::from(offset);
        (reaches && offset < Self::BAR_SIZE).then_some((offset, usize::try_from(length).ok()?))
    }

    /// The offsets of the window's data in configuration space.
    fn window_data(&self) -> Range<usize> {
        let Range { start, end } = ConfigAccessCapability::DATA;
        self.config_access + start..self.config_access + end
    }

    /// Returns true if an access to configuration space reaches the window, and so the BAR.
    fn reaches_window(&self, offset: u16, len: usize) -> bool {
        let offset = usize::from(offset);
        overlap(&(offset..offset.saturating_add(len)), &self.window_data())
    }

    /// Applies configuration space to the interrupts.
    fn follow_config(&mut self) {
        let control = self.config.get(self.msix_capability + MsixCapability::CONTROL);
        let control = MessageControl::from(u16::from_le_bytes(control));
        self.msix.set_control(control);
        let intx = !control.enable() && !self.config.command().interrupt_disable();
        self.common.interrupts().enable_intx(intx);
    }
}

impl Lifecycle for VirtioPci {
    fn measure(&mut self) -> io::Result<bool> {
        let changed = self.common.device().measure()?;
        if changed {
            self.common.interrupts().config_changed();
        }
        Ok(changed)
    }

    fn stop(&mut self, patience: Duration) -> bool {
        self.common.stop(patience)
    }

    fn pause(&mut self, patience: Duration) -> bool {
        self.common.pause(patience)
    }

    fn resume(&mut self) -> io::Result<()> {
        self.common.resume()
    }
}

impl PciFunction for VirtioPci {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        if self.reaches_window(offset, data.len())
            && let Some((at, len)) = self.window()
        {
            let mut value = [0; 4];
            self.read(at, &mut value[..len]);
            self.config.set(self.window_data().start, &value[..len]);
        }
        self.config.set_interrupt_status(self.common.interrupts().intx_pending());
        self.config.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) -> Effect {
        let mut effect = self.config.write(offset, data);
        if self.reaches_window(offset, data.len())
            && let Some((at, len)) = self.window()
        {
            let value: [u8; 4] = self.config.get(self.window_data().start);
            let there = self.write(at, &value[..len]);
            effect = if effect == Effect::None { there } else { effect };
        }
        self.follow_config();
        effect
    }

    fn bar_read(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        if self.is_legacy(bar) {
            self.common.legacy_read(offset, data, self.msix.vectors().enabled());
        } else {
            self.read(offset, data);
        }
    }

    fn bar_write(&mut self, bar: u8, offset: u64, data: &[u8]) -> Effect {
        if self.is_legacy(bar) {
            let has_vectors = self.msix.vectors().enabled();
            self.follow_driver(|common| common.legacy_write(offset, data, has_vectors))
        } else {
            self.write(offset, data)
        }
    }

    /// The queues' notifications, while a driver uses the device. While the device is discovered and set up, its BARs are moved often, and
    /// moving doorbells costs the host more than moving BARs.
    fn doorbells(&self) -> Vec<Doorbell<'_>> {
        if !self.driver_ok() {
            return Vec::new();
        }
        if self.common.is_legacy() {
            let offset = LEGACY_NOTIFY as u64;
            let notifications = (0..).zip(self.common.kicks());
            let by_value = |(queue, event)| Doorbell { bar: LEGACY_BAR, offset, value: Some(queue), event };
            return notifications.map(by_value).collect();
        }
        let offsets = (u64::from(NOTIFY)..).step_by(NOTIFY_STRIDE as usize);
        let notifications = offsets.zip(self.common.kicks());
        let any = |(offset, event)| Doorbell { bar: self.memory_bar, offset, value: None, event };
        notifications.map(any).collect()
    }
}

/// The page of the BAR that `offset` is in, and the offset there.
fn split(offset: u64) -> (u32, u64) {
    let in_page = offset % u64::from(PAGE);
    (u32::try_from(offset - in_page).unwrap_or(u32::MAX), in_page)
}

#[cfg(test)]
#[path = "pci_test.rs"]
mod tests;

#[cfg(test)]
#[path = "pci/block_test.rs"]
mod block_tests;
