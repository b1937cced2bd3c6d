mod layout;
mod legacy;
mod state;

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};

use arch::memory::GuestRam;
use log::debug;
use virtio_bindings::{virtio_config::VIRTIO_F_VERSION_1, virtio_ring::VIRTIO_RING_F_EVENT_IDX};
use virtio_queue::Queue;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};
use zerocopy::{IntoBytes, transmute};

use self::layout::{
    CONFIG_MSIX_VECTOR, DEVICE_FEATURE_SELECT, DEVICE_STATUS, DRIVER_FEATURE, DRIVER_FEATURE_SELECT,
    QUEUE_DESC, QUEUE_DESC_HIGH, QUEUE_DEVICE, QUEUE_DEVICE_HIGH, QUEUE_DRIVER, QUEUE_DRIVER_HIGH,
    QUEUE_ENABLE, QUEUE_MSIX_VECTOR, QUEUE_SELECT, QUEUE_SIZE,
};
pub(super) use self::{
    layout::CommonConfig,
    legacy::{LEGACY_LEN, LEGACY_NOTIFY},
    state::CommonState,
};
use super::{
    interrupt::{Interrupts, Status},
    queue::{Area, Half, QueueRegisters},
};
use crate::{
    once::Once,
    registers,
    virtio::device::{Activation, ActiveQueue, Halt, Notify, VirtioDevice},
};

/// The longest time for which a reset may block a vCPU. A worker that only has to wake up has stopped by then, so that drivers which don't
/// read the status again work, too.
const PATIENCE: Duration = Duration::from_millis(20);

/// The common configuration, which controls the device's life:
///
/// ```text
///  ┌─▶ reset ── ACKNOWLEDGE, DRIVER ──▶ features ── FEATURES_OK ──▶ queues ── DRIVER_OK ──▶ active
///  │                                        │ not those offered         │ not in memory      │ a broken ring
///  │                                        ▼                           ▼                    ▼
///  │                               FEATURES_OK stays 0               DEVICE_NEEDS_RESET ◀────┘
///  └─────────── resetting ◀────────────────── status := 0 ───────────────────────────────────┘
///    the device's threads are gone
/// ```
///
/// A write at the wrong time is ignored. virtio 1.3, "Device Reset": the driver waits until the status reads 0. That is at once, unless the
/// host is slow to finish requests.
///
/// The machine can pause in each state: an active device then returns its queues, and gets them back when the machine resumes. The driver
/// does not run meanwhile, and doesn't notice.
///
/// A transitional device also has the registers of the legacy interface (`legacy.rs`), with a simpler life. The driver chooses an interface
/// when it sets the first bit of the status there; until the next reset, the other one can only be read.
#[derive(Debug)]
pub(super) struct Common {
    device: Box<dyn VirtioDevice>,
    memory: GuestRam,
    interrupts: Arc<Interrupts>,
    queues: Vec<QueueRegisters>,
    kicks: Vec<EventFd>,
    device_feature_select: u32,
    driver_feature_select: u32,
    driver_features: u64,
    queue_select: u16,
    /// The driver uses the legacy interface.
    legacy: bool,
    /// The device was activated since the last reset.
    activated: bool,
    /// The driver has reset the device, which has not stopped yet.
    resetting: bool,
    /// The queues of a paused device.
    paused: Option<Vec<(u16, Queue)>>,
    said_failed: Once,
}

impl Common {
    /// # Errors
    ///
    /// An eventfd can't be made.
    pub(super) fn new(
        device: Box<dyn VirtioDevice>,
        memory: GuestRam,
        interrupts: Arc<Interrupts>,
    ) -> io::Result<Self> {
        let queues: Vec<_> = device.queue_sizes().iter().copied().map(QueueRegisters::new).collect();
        let kicks = queues.iter().map(|_| EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK));
        Ok(Self {
            kicks: kicks.collect::<io::Result<_>>()?,
            queues,
            device,
            memory,
            interrupts,
            device_feature_select: 0,
            driver_feature_select: 0,
            driver_features: 0,
            queue_select: 0,
            legacy: false,
            activated: false,
            resetting: false,
            paused: None,
            said_failed: Once::default(),
        })
    }

    pub(super) fn device(&mut self) -> &mut dyn VirtioDevice {
        &mut *self.device
    }

    pub(super) fn interrupts(&self) -> &Interrupts {
        &self.interrupts
    }

    /// The eventfds of the queues, by index.
    pub(super) fn kicks(&self) -> &[EventFd] {
        &self.kicks
    }

    /// Notifies the device that buffers are available in `queue`.
    pub(super) fn kick(&self, queue: u64) {
        if let Some(kick) = usize::try_from(queue).ok().and_then(|queue| self.kicks.get(queue)) {
            // It can only fail if the counter is full, and then the worker wakes up anyway.
            let _kicked = kick.write(1);
        }
    }

    /// Returns whether the driver uses the legacy interface.
    pub(super) fn is_legacy(&self) -> bool {
        self.legacy
    }

    /// Returns whether the driver has reset the device, and the device has not stopped yet.
    pub(super) fn is_resetting(&self) -> bool {
        self.resetting
    }

    /// Stops the device for good, and waits for at most `patience`. Returns whether no part of it accesses guest memory any more.
    pub(super) fn stop(&mut self, patience: Duration) -> bool {
        self.device.stop(Halt::Reset, patience).is_some()
    }

    /// Stops the device until [`Common::resume`], and waits for at most `patience`. Returns whether it has stopped.
    pub(super) fn pause(&mut self, patience: Duration) -> bool {
        self.go_on_resetting(patience);
        if self.paused.is_none() && !self.resetting {
            self.paused = self.device.stop(Halt::Pause, patience);
        }
        self.paused.is_some()
    }

    /// Resumes a paused device.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        match self.paused.take() {
            Some(queues) if queues.is_empty() => Ok(()),
            Some(queues) => self.run(queues).inspect_err(|_| self.interrupts.needs_reset()),
            None => Err(io::Error::new(ErrorKind::WouldBlock, "it has not stopped yet")),
        }
    }

    pub(super) fn read(&mut self, offset: u64, data: &mut [u8]) {
        self.go_on_resetting(Duration::ZERO);
        let queue = self.queues.get(usize::from(self.queue_select));
        let area = |area| queue.map_or(0, |queue| queue.area(area));
        let image = CommonConfig {
            device_feature_select: self.device_feature_select,
            device_feature: half(self.offered(), self.device_feature_select),
            driver_feature_select: self.driver_feature_select,
            driver_feature: half(self.driver_features, self.driver_feature_select),
            config_msix_vector: self.interrupts.config_vector(),
            num_queues: u16::try_from(self.queues.len()).unwrap_or(u16::MAX),
            device_status: self.interrupts.status().bits(),
            config_generation: self.interrupts.config_generation(),
            queue_select: self.queue_select,
            queue_size: queue.map_or(0, QueueRegisters::size),
            queue_msix_vector: self.interrupts.queue_vector(self.queue_select),
            queue_enable: queue.is_some_and(QueueRegisters::enabled).into(),
            queue_notify_off: queue.map_or(0, |_| self.queue_select),
            queue_desc: area(Area::Descriptor),
            queue_driver: area(Area::Driver),
            queue_device: area(Area::Device),
        };
        data.fill(0);
        registers::read(image.as_bytes(), offset, data);
    }

    /// Writes a register. virtio 1.3 has drivers access each field as a whole, and those of 64 bits in halves. Other writes are ignored.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        self.go_on_resetting(Duration::ZERO);
        let Ok(offset) = usize::try_from(offset) else { return };
        let is_reset = offset == DEVICE_STATUS && data == [0];
        if self.resetting || self.legacy && !is_reset {
            return;
        }
        match *data {
            [value] => self.write_8(offset, value),
            [a, b] => self.write_16(offset, u16::from_le_bytes([a, b])),
            [a, b, c, d] => self.write_32(offset, u32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] if offset >= QUEUE_DESC => {
                self.write_32(offset, u32::from_le_bytes([a, b, c, d]));
                self.write_32(offset + 4, u32::from_le_bytes([e, f, g, h]));
            }
            _ => {}
        }
    }

    fn write_8(&mut self, offset: usize, value: u8) {
        if offset == DEVICE_STATUS {
            self.write_status(value);
        }
    }

    fn write_16(&mut self, offset: usize, value: u16) {
        match offset {
            CONFIG_MSIX_VECTOR => self.interrupts.set_config_vector(value),
            QUEUE_SELECT => self.queue_select = value,
            QUEUE_SIZE => self.set_up_queue(|queue| queue.set_size(value)),
            QUEUE_MSIX_VECTOR => self.interrupts.set_queue_vector(self.queue_select, value),
            QUEUE_ENABLE if value == 1 => self.enable_queue(),
            _ => {}
        }
    }

    fn write_32(&mut self, offset: usize, value: u32) {
        let (area, part) = match offset {
            DEVICE_FEATURE_SELECT => return self.device_feature_select = value,
            DRIVER_FEATURE_SELECT => return self.driver_feature_select = value,
            DRIVER_FEATURE => return self.write_driver_feature(value),
            QUEUE_DESC => (Area::Descriptor, Half::Low),
            QUEUE_DESC_HIGH => (Area::Descriptor, Half::High),
            QUEUE_DRIVER => (Area::Driver, Half::Low),
            QUEUE_DRIVER_HIGH => (Area::Driver, Half::High),
            QUEUE_DEVICE => (Area::Device, Half::Low),
            QUEUE_DEVICE_HIGH => (Area::Device, Half::High),
            _ => return,
        };
        self.set_up_queue(|queue| queue.set_area(area, part, value));
    }

    fn offered(&self) -> u64 {
        self.device.features() | 1 << VIRTIO_F_VERSION_1
    }

    fn write_driver_feature(&mut self, value: u32) {
        if self.interrupts.status().contains(Status::FEATURES_OK) {
            return;
        }
        let low = u64::from(u32::MAX);
        match self.driver_feature_select {
            0 => self.driver_features = self.driver_features & !low | u64::from(value),
            1 => self.driver_features = self.driver_features & low | u64::from(value) << 32,
            _ => {}
        }
    }

    /// A driver only adds bits, until it resets the device by writing 0.
    fn write_status(&mut self, value: u8) {
        if value == 0 {
            return self.begin_reset(PATIENCE);
        }
        let status = self.interrupts.status();
        let mut new = Status::from_bits_truncate(value) - status - Status::DEVICE_NEEDS_RESET;
        if !self.features_agreed() {
            new -= Status::FEATURES_OK;
        }
        let ready =
            (status | new).contains(Status::FEATURES_OK) && !status.contains(Status::DEVICE_NEEDS_RESET);
        if !ready {
            new -= Status::DRIVER_OK;
        }
        self.interrupts.add_status(new);
        if new.contains(Status::FEATURES_OK) {
            self.device.features_agreed(self.driver_features);
        }
        if new.contains(Status::DRIVER_OK) {
            self.activate();
        }
    }

    /// Returns true if the driver chose only offered features, and uses the right interface for them.
    fn features_agreed(&self) -> bool {
        if self.legacy {
            return self.driver_features & !self.legacy_offered() == 0;
        }
        self.driver_features & !self.offered() == 0 && self.driver_features & 1 << VIRTIO_F_VERSION_1 != 0
    }

    fn set_up_queue(&mut self, change: impl FnOnce(&mut QueueRegisters)) {
        if !self.activated
            && let Some(queue) = self.queues.get_mut(usize::from(self.queue_select))
        {
            change(queue);
        }
    }

    fn enable_queue(&mut self) {
        let memory = self.memory.clone();
        let mut enabled = true;
        self.set_up_queue(|queue| enabled = queue.enable(&memory));
        if !enabled {
            self.say_misplaced();
        }
    }

    /// Logs that the selected queue can't be where the driver put it.
    fn say_misplaced(&self) {
        let (queue, device) = (self.queue_select, self.device.kind().name);
        debug!("{device}: queue {queue} can't be where its driver put it");
        self.interrupts.needs_reset();
    }

    fn activate(&mut self) {
        self.activated = true;
        let event_idx = self.event_idx();
        let enabled = (0..).zip(&self.queues).filter(|(_, queue)| queue.enabled());
        let queues = enabled.map(|(index, queue)| Ok((index, queue.queue(event_idx)?)));
        let queues = queues.collect::<io::Result<_>>();
        if let Err(error) = queues.and_then(|queues| self.run(queues)) {
            self.said_failed.error(format_args!("{}: can't start: {error}", self.device.kind().name));
            self.interrupts.needs_reset();
        }
    }

    fn event_idx(&self) -> bool {
        self.driver_features & 1 << VIRTIO_RING_F_EVENT_IDX != 0
    }

    /// Activates the device with `queues`.
    fn run(&mut self, queues: Vec<(u16, Queue)>) -> io::Result<()> {
        let queues = queues.into_iter().map(|(index, queue)| {
            let kick = self.kicks.get(usize::from(index)).ok_or(ErrorKind::NotFound)?;
            Ok(ActiveQueue { index, queue, kick: kick.try_clone()? })
        });
        self.device.activate(Activation {
            memory: self.memory.clone(),
            features: self.driver_features,
            queues: queues.collect::<io::Result<_>>()?,
            notify: Arc::clone(&self.interrupts) as Arc<dyn Notify>,
        })
    }

    fn begin_reset(&mut self, patience: Duration) {
        self.resetting = true;
        self.go_on_resetting(patience);
    }

    /// Completes a reset that the driver has begun, if the device stops within `patience`.
    fn go_on_resetting(&mut self, patience: Duration) {
        if self.resetting && self.device.stop(Halt::Reset, patience).is_some() {
            self.resetting = false;
            self.reset();
        }
    }

    fn reset(&mut self) {
        self.device.reset();
        if let Some(queues) = &mut self.paused {
            queues.clear();
        }
        for queue in &mut self.queues {
            queue.reset();
        }
        self.device_feature_select = 0;
        self.driver_feature_select = 0;
        self.driver_features = 0;
        self.queue_select = 0;
        self.legacy = false;
        self.activated = false;
        self.interrupts.reset();
    }
}

impl Drop for Common {
    fn drop(&mut self) {
        self.device.reset();
    }
}

/// The selected half of `features`; 0 beyond the two halves.
fn half(features: u64, select: u32) -> u32 {
    let halves: [u32; 2] = transmute!(features);
    let half = usize::try_from(select).ok().and_then(|select| halves.get(select));
    half.copied().unwrap_or_default()
}

#[cfg(test)]
#[path = "common_test.rs"]
mod tests;
