use std::io;

use arch::memory::GuestRam;
use serde::{Deserialize, Serialize};
use virtio_queue::{Queue, QueueT};
use vm_memory::{GuestAddress, GuestMemoryBackend};

/// The page size for legacy drivers, and the alignment of the used ring in their queues.
const LEGACY_ALIGN: u64 = 4096;

/// A virtqueue's registers, set by the driver before the device gets the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueueRegisters {
    max_size: u16,
    size: u16,
    enabled: bool,
    descriptor_area: u64,
    driver_area: u64,
    device_area: u64,
}

/// One of the three parts of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Area {
    /// The descriptor table.
    Descriptor,
    /// The available ring.
    Driver,
    /// The used ring.
    Device,
}

/// One half of a 64-bit register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Low,
    High,
}

impl QueueRegisters {
    pub(super) fn new(max_size: u16) -> Self {
        Self { max_size, size: max_size, enabled: false, descriptor_area: 0, driver_area: 0, device_area: 0 }
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new(self.max_size);
    }

    pub(super) fn max_size(&self) -> u16 {
        self.max_size
    }

    pub(super) fn size(&self) -> u16 {
        self.size
    }

    pub(super) fn enabled(&self) -> bool {
        self.enabled
    }

    pub(super) fn area(&self, area: Area) -> u64 {
        match area {
            Area::Descriptor => self.descriptor_area,
            Area::Driver => self.driver_area,
            Area::Device => self.device_area,
        }
    }

    /// Sets the size that the driver chose. It is checked when the queue is enabled, and can't change after that.
    pub(super) fn set_size(&mut self, size: u16) {
        if !self.enabled {
            self.size = size;
        }
    }

    /// Sets half of an area's address, in the same way.
    pub(super) fn set_area(&mut self, area: Area, half: Half, value: u32) {
        if self.enabled {
            return;
        }
        let address = match area {
            Area::Descriptor => &mut self.descriptor_area,
            Area::Driver => &mut self.driver_area,
            Area::Device => &mut self.device_area,
        };
        let low_bits = u64::from(u32::MAX);
        *address = match half {
            Half::Low => *address & !low_bits | u64::from(value),
            Half::High => *address & low_bits | u64::from(value) << 32,
        };
    }

    /// Enables the queue, if its size is possible, and its areas are aligned and each in one region of `memory`. Returns whether it did.
    pub(super) fn enable(&mut self, memory: &GuestRam) -> bool {
        self.enabled = self.is_valid(memory);
        self.enabled
    }

    /// The number of its first page, for legacy drivers.
    pub(super) fn page(&self) -> u32 {
        u32::try_from(self.descriptor_area / LEGACY_ALIGN).unwrap_or(0)
    }

    /// Places the whole queue from `page` on, as legacy drivers do, and enables it; page 0 removes it. Returns whether that is possible.
    ///
    /// virtio 1.3, "Legacy Interfaces: A Note on Virtqueue Layout".
    pub(super) fn place(&mut self, page: u32, memory: &GuestRam) -> bool {
        self.reset();
        self.descriptor_area = u64::from(page) * LEGACY_ALIGN;
        if page == 0 {
            return true;
        }
        let size = u64::from(self.size);
        self.driver_area = self.descriptor_area + 16 * size;
        self.device_area = (self.driver_area + 6 + 2 * size).next_multiple_of(LEGACY_ALIGN);
        self.enable(memory)
    }

    /// Checks the sizes and alignments of the areas: virtio 1.3, "Split Virtqueues".
    pub(super) fn is_valid(&self, memory: &GuestRam) -> bool {
        let size = usize::from(self.size);
        let fits = |address: u64, align: u64, len: usize| {
            address.is_multiple_of(align) && memory.get_slice(GuestAddress(address), len).is_ok()
        };
        self.size.is_power_of_two()
            && self.size <= self.max_size
            && fits(self.descriptor_area, 16, 16 * size)
            && fits(self.driver_area, 2, 6 + 2 * size)
            && fits(self.device_area, 4, 6 + 8 * size)
    }

    /// The queue for the device.
    pub(super) fn queue(&self, event_idx: bool) -> io::Result<Queue> {
        let queue = || {
            let mut queue = Queue::new(self.max_size)?;
            queue.try_set_size(self.size)?;
            queue.try_set_desc_table_address(GuestAddress(self.descriptor_area))?;
            queue.try_set_avail_ring_address(GuestAddress(self.driver_area))?;
            queue.try_set_used_ring_address(GuestAddress(self.device_area))?;
            queue.set_event_idx(event_idx);
            queue.set_ready(true);
            Ok::<_, virtio_queue::Error>(queue)
        };
        queue().map_err(io::Error::other)
    }
}
