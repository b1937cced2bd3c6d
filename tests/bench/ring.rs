//! The driver's side of a virtqueue, which costs next to nothing.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
};

use arch::memory::GuestRam;
use devices::virtio::device::{ActiveQueue, Notify};
use rustix::event::{EventfdFlags, eventfd};
use virtio_queue::{Queue, QueueT};
use vm_memory::{ByteValued, Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

/// Flags of a descriptor.
pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;

/// The offsets of a queue's parts from its base, and of the data of its chains.
const DESCRIPTORS: u64 = 0;
const AVAILABLE: u64 = 0x1_0000;
const USED: u64 = 0x2_0000;
pub(crate) const DATA: u64 = 0x10_0000;

/// An event for each queue, which the device signals as an interrupt.
#[derive(Debug)]
pub(crate) struct Interrupts(Vec<OwnedFd>);

impl Notify for Interrupts {
    fn used(&self, queue: u16) {
        rustix::io::write(&self.0[usize::from(queue)], &1_u64.to_ne_bytes()).unwrap();
    }

    fn config_changed(&self) {}

    fn needs_reset(&self) {
        panic!("the device gave up");
    }
}

/// The memory of a driver, and the events between it and its device.
pub(crate) struct Guest {
    pub(crate) memory: GuestRam,
    pub(crate) interrupts: Arc<Interrupts>,
    kicks: Vec<EventFd>,
    per_queue: u64,
}

impl Guest {
    /// A driver's memory with `queues` queues, and `data` bytes at [`DATA`] for each.
    pub(crate) fn new(queues: u16, data: u64) -> Self {
        let per_queue = (DATA + data).next_multiple_of(2 << 20);
        let len = usize::try_from(per_queue * u64::from(queues)).unwrap();
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), len)]).unwrap();
        // Touch all memory first, so that it causes no page faults later.
        for page in (0..len as u64).step_by(4096) {
            memory.write_obj(0_u8, GuestAddress(page)).unwrap();
        }
        let interrupts = (0..queues).map(|_| eventfd(0, EventfdFlags::empty()).unwrap()).collect();
        let kicks = (0..queues).map(|_| EventFd::new(libc::EFD_NONBLOCK).unwrap()).collect();
        Self { memory, interrupts: Arc::new(Interrupts(interrupts)), kicks, per_queue }
    }

    /// Queue `index`, of `size` entries.
    pub(crate) fn ring(&self, index: u16, size: u16) -> Ring<'_> {
        let at = usize::from(index);
        Ring {
            memory: &self.memory,
            base: self.per_queue * u64::from(index),
            index,
            size,
            available: 0,
            kick: &self.kicks[at],
            interrupt: &self.interrupts.0[at],
        }
    }
}

/// A virtqueue with the event index, and the memory behind it.
pub(crate) struct Ring<'m> {
    memory: &'m GuestRam,
    base: u64,
    index: u16,
    size: u16,
    /// The next entry of the available ring. The device does not see it before [`Ring::publish`].
    pub(crate) available: u16,
    kick: &'m EventFd,
    pub(crate) interrupt: &'m OwnedFd,
}

impl Ring<'_> {
    /// The queue in the form for its device.
    pub(crate) fn active(&self) -> ActiveQueue {
        let mut queue = Queue::new(self.size).unwrap();
        queue.try_set_desc_table_address(self.at(DESCRIPTORS)).unwrap();
        queue.try_set_avail_ring_address(self.at(AVAILABLE)).unwrap();
        queue.try_set_used_ring_address(self.at(USED)).unwrap();
        queue.set_event_idx(true);
        queue.set_ready(true);
        ActiveQueue { index: self.index, queue, kick: self.kick.try_clone().unwrap() }
    }

    /// Makes descriptor `index`, of `len` bytes at `offset`.
    pub(crate) fn describe(&self, index: u16, offset: u64, len: u32, flags: u16, next: u16) {
        let at = DESCRIPTORS + 16 * u64::from(index);
        self.write(at, self.base + offset);
        self.write(at + 8, len);
        self.write(at + 12, flags);
        self.write(at + 14, next);
    }

    /// Puts a chain into the available ring.
    pub(crate) fn add(&mut self, head: u16) {
        self.write(AVAILABLE + 4 + 2 * u64::from(self.available % self.size), head);
        self.available = self.available.wrapping_add(1);
    }

    /// Publishes the entries added since `before`.
    pub(crate) fn publish(&self, before: u16) {
        self.memory.store(self.available, self.at(AVAILABLE + 2), Ordering::Release).unwrap();
        fence(Ordering::SeqCst);
        let event: u16 = self.read(USED + 4 + 8 * u64::from(self.size));
        if self.available.wrapping_sub(event).wrapping_sub(1) < self.available.wrapping_sub(before) {
            self.kick.write(1).unwrap();
        }
    }

    /// Returns the number of chains that were used, counted from the start.
    pub(crate) fn used(&self) -> u16 {
        self.memory.load(self.at(USED + 2), Ordering::Acquire).unwrap()
    }

    /// Returns the head of the chain with this number among the used ones.
    pub(crate) fn used_head(&self, number: u16) -> u16 {
        let head: u32 = self.read(USED + 4 + 8 * u64::from(number % self.size));
        u16::try_from(head).unwrap()
    }

    /// Requests an interrupt once `until` chains were used, counted from the start.
    pub(crate) fn interrupt_at(&self, until: u16) {
        self.write(AVAILABLE + 4 + 2 * u64::from(self.size), until.wrapping_sub(1));
        fence(Ordering::SeqCst);
    }

    /// Returns whether that many chains were used.
    pub(crate) fn has_used(&self, until: u16) -> bool {
        self.used().wrapping_sub(until) < 1 << 15
    }

    /// Sleeps until the next interrupt, unless there has been one.
    pub(crate) fn sleep(&self) {
        rustix::io::read(self.interrupt, &mut [0; 8]).unwrap();
    }

    fn write<T: ByteValued>(&self, offset: u64, value: T) {
        self.memory.write_obj(value, self.at(offset)).unwrap();
    }

    pub(crate) fn read<T: ByteValued>(&self, offset: u64) -> T {
        self.memory.read_obj(self.at(offset)).unwrap()
    }

    pub(crate) fn write_bytes(&self, offset: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, self.at(offset)).unwrap();
    }

    fn at(&self, offset: u64) -> GuestAddress {
        GuestAddress(self.base + offset)
    }
}
