//! The legacy interface of a transitional device, for drivers from before virtio 1.0: virtio 1.3, "Legacy Interfaces: A Note on PCI Device
//! Layout". The device's configuration follows its registers.
//!
//! Legacy drivers know neither FEATURES_OK nor status bits set by the device. They need not wait for a reset, and may use a queue before they
//! set DRIVER_OK (virtio 1.3, "Legacy Interface: Device Initialization"), as Linux did until 3.18.

use std::{mem::offset_of, time::Duration};

use virtio_bindings::virtio_config::VIRTIO_F_ANY_LAYOUT;
use zerocopy::{Immutable, IntoBytes};

use super::{
    super::{interrupt::Status, queue::QueueRegisters},
    Common,
};
use crate::registers;

/// The registers. Those for MSI-X vectors exist only while MSI-X is enabled.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct LegacyConfig {
    device_features: u32,
    driver_features: u32,
    queue_address: u32,
    queue_size: u16,
    queue_select: u16,
    queue_notify: u16,
    device_status: u8,
    isr_status: u8,
    config_msix_vector: u16,
    queue_msix_vector: u16,
}

/// The length of the registers.
pub(in super::super) const LEGACY_LEN: usize = size_of::<LegacyConfig>();
/// The offset at which a driver writes the number of a queue to notify it.
pub(in super::super) const LEGACY_NOTIFY: usize = offset_of!(LegacyConfig, queue_notify);

const DRIVER_FEATURES: usize = offset_of!(LegacyConfig, driver_features);
const QUEUE_ADDRESS: usize = offset_of!(LegacyConfig, queue_address);
const QUEUE_SELECT: usize = offset_of!(LegacyConfig, queue_select);
const DEVICE_STATUS: usize = offset_of!(LegacyConfig, device_status);
const ISR_STATUS: usize = offset_of!(LegacyConfig, isr_status);
const CONFIG_MSIX_VECTOR: usize = offset_of!(LegacyConfig, config_msix_vector);
const QUEUE_MSIX_VECTOR: usize = offset_of!(LegacyConfig, queue_msix_vector);

/// The status bits that such drivers know.
const STATUS: Status =
    Status::ACKNOWLEDGE.union(Status::DRIVER).union(Status::DRIVER_OK).union(Status::FAILED);

/// The time for which a reset may block a vCPU, whose driver expects the device to be reset afterwards.
const PATIENCE: Duration = Duration::from_secs(1);

impl Common {
    pub(in super::super) fn legacy_read(&mut self, offset: u64, data: &mut [u8], has_vectors: bool) {
        self.go_on_resetting(Duration::ZERO);
        data.fill(0);
        let Some((offset, len)) = within(offset, has_vectors) else { return };
        if offset >= len {
            return self.device.read_config((offset - len) as u64, data);
        }
        let reads_isr = (offset..offset + data.len()).contains(&ISR_STATUS);
        let queue = self.queues.get(usize::from(self.queue_select));
        let image = LegacyConfig {
            device_features: low(self.legacy_offered()),
            driver_features: low(self.driver_features),
            queue_address: queue.map_or(0, QueueRegisters::page),
            queue_size: queue.map_or(0, QueueRegisters::max_size),
            queue_select: self.queue_select,
            queue_notify: 0,
            device_status: self.legacy_status().bits(),
            isr_status: if reads_isr { self.interrupts.take_isr() } else { 0 },
            config_msix_vector: self.interrupts.config_vector(),
            queue_msix_vector: self.interrupts.queue_vector(self.queue_select),
        };
        registers::read(&image.as_bytes()[..len], offset as u64, data);
    }

    /// Writes a register as a whole, or the device's configuration.
    pub(in super::super) fn legacy_write(&mut self, offset: u64, data: &[u8], has_vectors: bool) {
        self.go_on_resetting(Duration::ZERO);
        let Some((offset, len)) = within(offset, has_vectors) else { return };
        if self.resetting {
            return;
        }
        if let (DEVICE_STATUS, &[value]) = (offset, data) {
            return self.write_legacy_status(value);
        }
        if !self.legacy {
            return;
        }
        match (offset, data) {
            (DRIVER_FEATURES, &[a, b, c, d]) => {
                self.write_legacy_features(u32::from_le_bytes([a, b, c, d]));
            }
            (QUEUE_ADDRESS, &[a, b, c, d]) => self.place_queue(u32::from_le_bytes([a, b, c, d])),
            (QUEUE_SELECT, &[a, b]) => self.queue_select = u16::from_le_bytes([a, b]),
            (LEGACY_NOTIFY, &[a, b]) => self.notify_legacy(u16::from_le_bytes([a, b])),
            (CONFIG_MSIX_VECTOR, &[a, b]) if has_vectors => {
                self.interrupts.set_config_vector(u16::from_le_bytes([a, b]));
            }
            (QUEUE_MSIX_VECTOR, &[a, b]) if has_vectors => {
                self.interrupts.set_queue_vector(self.queue_select, u16::from_le_bytes([a, b]));
            }
            _ if offset >= len => self.device.write_config((offset - len) as u64, data),
            _ => {}
        }
    }

    /// The features for a legacy driver.
    pub(super) fn legacy_offered(&self) -> u64 {
        self.device.features() & u64::from(u32::MAX) | 1 << VIRTIO_F_ANY_LAYOUT
    }

    fn legacy_status(&self) -> Status {
        self.interrupts.status() & STATUS
    }

    fn write_legacy_status(&mut self, value: u8) {
        let status = self.interrupts.status();
        if value == 0 {
            return self.begin_reset(PATIENCE);
        }
        if status.is_empty() {
            self.legacy = true;
            // Features that were written by the other interface don't count.
            self.driver_features = 0;
            self.device.features_agreed(0);
        }
        if !self.legacy {
            return;
        }
        let mut new = (Status::from_bits_truncate(value) & STATUS) - status;
        if status.contains(Status::DEVICE_NEEDS_RESET) {
            new -= Status::DRIVER_OK;
        }
        self.interrupts.add_status(new);
        if new.contains(Status::DRIVER_OK) && !self.activated {
            self.activate();
        }
    }

    fn write_legacy_features(&mut self, features: u32) {
        if !self.activated {
            self.driver_features = u64::from(features) & self.legacy_offered();
            self.device.features_agreed(self.driver_features);
        }
    }

    /// Sets the address of the selected queue, by its page number; 0 removes the queue.
    fn place_queue(&mut self, page: u32) {
        let memory = self.memory.clone();
        let mut fits = true;
        self.set_up_queue(|queue| fits = queue.place(page, &memory));
        if !fits {
            self.say_misplaced();
        }
    }

    fn notify_legacy(&mut self, queue: u16) {
        let is_set_up = self.queues.get(usize::from(queue)).is_some_and(QueueRegisters::enabled);
        let is_broken = self.interrupts.status().contains(Status::DEVICE_NEEDS_RESET);
        if is_set_up && !is_broken && !self.activated {
            self.activate();
        }
        self.kick(queue.into());
    }
}

/// Returns the offset in the registers or the configuration, and the length of the registers.
fn within(offset: u64, has_vectors: bool) -> Option<(usize, usize)> {
    let len = if has_vectors { LEGACY_LEN } else { CONFIG_MSIX_VECTOR };
    Some((usize::try_from(offset).ok()?, len))
}

fn low(features: u64) -> u32 {
    super::half(features, 0)
}

#[cfg(test)]
#[path = "legacy_test.rs"]
mod tests;
