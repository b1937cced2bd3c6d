//! The driver's side of a virtqueue, for tests. It does whatever the test asks, sensible or not. (virtio-queue's mock puts the used ring
//! over the tail of the available ring.)

use std::sync::atomic::Ordering;

use arch::memory::GuestRam;
use proptest::prelude::*;
use virtio_queue::{
    Queue, QueueT,
    desc::{RawDescriptor, split::Descriptor},
};
use vm_memory::{Bytes, GuestAddress};

use super::Rings;

/// Guest memory: two adjacent regions, with a hole above.
pub(crate) const MEMORY_SIZE: u64 = 0x40_0000;
/// The address where the two regions meet.
pub(crate) const SEAM: u64 = 0x20_0000;
/// The start of memory for the tests' own use, up to [`MEMORY_SIZE`].
pub(crate) const FREE: u64 = 0x10_0000;

const TABLE: u64 = 0x1_0000;
const AVAIL: u64 = 0x1_8000;
const USED: u64 = 0x1_c000;
/// The distance to the next queue's rings.
const RINGS: u64 = 0x2_0000;

/// `VIRTQ_DESC_F_NEXT`.
pub(crate) const NEXT: u16 = 1;
/// `VIRTQ_DESC_F_WRITE`.
pub(crate) const WRITE: u16 = 2;
/// `VIRTQ_DESC_F_INDIRECT`.
pub(crate) const INDIRECT: u16 = 4;

#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) memory: GuestRam,
    /// The address of its rings and its table.
    rings: u64,
    /// The rings are laid out as for a legacy device.
    legacy: bool,
    size: u16,
    next_descriptor: u16,
    avail: u16,
    used: u16,
}

impl Driver {
    pub(crate) fn new(size: u16) -> Self {
        let ranges = [(GuestAddress(0), SEAM), (GuestAddress(SEAM), MEMORY_SIZE - SEAM)];
        let ranges = ranges.map(|(base, len)| (base, usize::try_from(len).unwrap()));
        let memory = GuestRam::from_ranges(&ranges).unwrap();
        Self { memory, rings: 0, legacy: false, size, next_descriptor: 0, avail: 0, used: 0 }
    }

    /// A driver of a legacy device, whose queue has a fixed layout.
    pub(crate) fn legacy(size: u16) -> Self {
        Self { legacy: true, ..Self::new(size) }
    }

    fn avail_ring(&self) -> u64 {
        self.rings + if self.legacy { TABLE + 16 * u64::from(self.size) } else { AVAIL }
    }

    fn used_ring(&self) -> u64 {
        match self.legacy {
            true => (self.avail_ring() + 6 + 2 * u64::from(self.size)).next_multiple_of(4096),
            false => self.rings + USED,
        }
    }

    /// The driver of another queue in the same memory. There is room for numbers up to 7.
    pub(crate) fn of_queue(&self, number: u16) -> Self {
        let rings = RINGS * u64::from(number);
        assert!(rings + RINGS <= FREE);
        Self { memory: self.memory.clone(), rings, next_descriptor: 0, avail: 0, used: 0, ..*self }
    }

    /// Starts again, as a driver that resets its device.
    pub(crate) fn restart(&mut self) {
        for ring in [self.avail_ring(), self.used_ring()] {
            self.write(ring, &vec![0; 6 + 8 * usize::from(self.size)]);
        }
        (self.next_descriptor, self.avail, self.used) = (0, 0, 0);
    }

    /// The queue as a transport passes it to a device.
    pub(crate) fn queue(&self) -> Queue {
        let mut queue = Queue::new(self.size).unwrap();
        queue.try_set_desc_table_address(GuestAddress(self.rings + TABLE)).unwrap();
        queue.try_set_avail_ring_address(GuestAddress(self.avail_ring())).unwrap();
        queue.try_set_used_ring_address(GuestAddress(self.used_ring())).unwrap();
        queue.set_ready(true);
        assert!(queue.is_valid(&self.memory));
        queue
    }

    /// The same queue as a worker serves it, in `memory`, which is the driver's.
    pub(crate) fn rings<'m>(&self, memory: &'m GuestRam) -> Rings<'m> {
        Rings::new(self.queue(), memory).unwrap()
    }

    pub(crate) fn write(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub(crate) fn read(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    /// Writes an entry of a descriptor table.
    pub(crate) fn describe(&self, table: u64, index: u16, (address, len, flags, next): (u64, u32, u16, u16)) {
        let descriptor = RawDescriptor::from(Descriptor::new(address, len, flags, next));
        self.memory.write_obj(descriptor, GuestAddress(table + 16 * u64::from(index))).unwrap();
    }

    /// The same in the queue's own table.
    pub(crate) fn describe_own(&self, index: u16, descriptor: (u64, u32, u16, u16)) {
        self.describe(self.rings + TABLE, index, descriptor);
    }

    /// Makes the chain that starts at descriptor `head` available.
    pub(crate) fn offer(&mut self, head: u16) {
        let entry = self.avail_ring() + 4 + 2 * u64::from(self.avail % self.size);
        self.memory.write_obj(head, GuestAddress(entry)).unwrap();
        self.set_avail_index(self.avail.wrapping_add(1));
    }

    pub(crate) fn set_avail_index(&mut self, index: u16) {
        self.avail = index;
        self.memory.store(index, GuestAddress(self.avail_ring() + 2), Ordering::Release).unwrap();
    }

    pub(crate) fn set_avail_flags(&self, flags: u16) {
        self.memory.write_obj(flags, GuestAddress(self.avail_ring())).unwrap();
    }

    /// Requests an interrupt when the used index passes `index`.
    pub(crate) fn set_used_event(&self, index: u16) {
        self.memory.write_obj(index, GuestAddress(self.avail_ring() + 4 + 2 * u64::from(self.size))).unwrap();
    }

    /// The address at which the device writes the available index for the next kick.
    pub(crate) fn avail_event(&self) -> GuestAddress {
        GuestAddress(self.used_ring() + 4 + 8 * u64::from(self.size))
    }

    /// Makes a chain of `(address, len, flags)` available, and returns its head. Descriptors are used in turn.
    pub(crate) fn chain(&mut self, buffers: &[(u64, u32, u16)]) -> u16 {
        let head = self.next_descriptor;
        for (n, &(address, len, flags)) in buffers.iter().enumerate() {
            let index = self.next_descriptor;
            let next = (index + 1) % self.size;
            let more = if n + 1 < buffers.len() { NEXT } else { 0 };
            self.describe_own(index, (address, len, flags | more, next));
            self.next_descriptor = next;
        }
        self.offer(head);
        head
    }

    /// The same with an indirect table at `table`.
    pub(crate) fn indirect_chain(&mut self, table: u64, buffers: &[(u64, u32, u16)]) -> u16 {
        let count = u16::try_from(buffers.len()).unwrap();
        for (n, &(address, len, flags)) in (0..).zip(buffers) {
            let more = if n + 1 < count { NEXT } else { 0 };
            self.describe(table, n, (address, len, flags | more, n + 1));
        }
        self.chain(&[(table, 16 * u32::from(count), INDIRECT)])
    }

    /// Sets the used index, as if the device had used that many.
    pub(crate) fn set_used_index(&self, index: u16) {
        self.memory.store(index, GuestAddress(self.used_ring() + 2), Ordering::Release).unwrap();
    }

    /// The next `(head, len)` that the device has used.
    pub(crate) fn used(&mut self) -> Option<(u32, u32)> {
        let load = |address| self.memory.load::<u16>(address, Ordering::Acquire).unwrap();
        if load(GuestAddress(self.used_ring() + 2)) == self.used {
            return None;
        }
        let entry = self.used_ring() + 4 + 8 * u64::from(self.used % self.size);
        self.used = self.used.wrapping_add(1);
        let [id, len] = [0, 4].map(|n| self.memory.read_obj(GuestAddress(entry + n)).unwrap());
        Some((id, len))
    }
}

/// A table of `size` random descriptors, mostly ones that form long chains and requests.
pub(crate) fn any_table(size: u16) -> impl Strategy<Value = Vec<(u64, u32, u16, u16)>> {
    let address = prop_oneof![
        30 => (0..0x1000_u64).prop_map(|n| FREE + 16 * n),
        3 => FREE..MEMORY_SIZE,
        1 => TABLE..TABLE + 0x400,
        1 => any::<u64>(),
    ];
    let len = prop_oneof![10 => Just(16_u32), 10 => Just(512), 5 => 1..0x1000_u32, 1 => any::<u32>()];
    let flags = prop_oneof![
        10 => Just(NEXT),
        6 => Just(NEXT | WRITE),
        6 => Just(WRITE),
        2 => Just(INDIRECT),
        1 => any::<u16>(),
    ];
    let skip = prop_oneof![10 => Just(1_u16), 1 => any::<u16>()];
    prop::collection::vec((address, len, flags, skip), usize::from(size)).prop_map(|mut table| {
        for (index, descriptor) in (0_u16..).zip(&mut table) {
            descriptor.3 = descriptor.3.wrapping_add(index);
        }
        table
    })
}
