//! Takes requests off a virtqueue whose driver may be broken or hostile.
//!
//! The rings' memory is looked up once, when a worker begins to serve them; each access is then only compared with their length. A chain is
//! either complete, in guest memory and in order, or it is an error after which the queue can't be used: the driver and the device no
//! longer agree on its contents.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod test_driver;

use std::sync::atomic::{Ordering, fence};

use arch::memory::GuestRam;
use virtio_bindings::virtio_ring::{VRING_AVAIL_F_NO_INTERRUPT, VRING_USED_F_NO_NOTIFY};
use virtio_queue::{
    Queue, QueueT,
    desc::{RawDescriptor, split::Descriptor},
};
use vm_memory::{AtomicAccess, Bytes, VolatileMemory, VolatileSlice};

pub use crate::buffers::Buffers;
use crate::buffers::Regions;

/// The most buffers in a chain. The specification allows as many as the queue's size, but drivers with indirect tables exceed that with
/// small queues, and QEMU accepts up to this number.
const MAX_BUFFERS: usize = 1024;

/// virtio 1.3, "The Virtqueue Descriptor Table": `struct virtq_desc`, its length.
const DESCRIPTOR: usize = 16;

/// virtio 1.3, "The Virtqueue Available Ring" and "The Virtqueue Used Ring": offsets of the fields.
const FLAGS: usize = 0;
const INDEX: usize = 2;
const RING: usize = 4;
const AVAILABLE_ENTRY: usize = 2;
const USED_ENTRY: usize = 8;

/// Reasons why a queue can't be used any more.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The rings are not in memory, or not aligned.
    #[error("its rings are not in memory")]
    NoRings,
    /// More chains were made available than the queue can hold.
    #[error("its available index makes no sense: {available}, after {taken} chains were taken")]
    Available {
        /// The driver's index.
        available: u16,
        /// The index of the next chain to take.
        taken: u16,
    },
    /// A chain to return does not belong to the queue.
    #[error("descriptor chain {0} is not of this queue")]
    NoChain(u16),
    /// A loop, an index beyond the table, a bad indirect table, or 4 GiB or more.
    #[error("descriptor chain {0} has no end")]
    Endless(u16),
    /// More than 1024 buffers.
    #[error("descriptor chain {0} has too many buffers")]
    TooLong(u16),
    /// A buffer of no bytes.
    #[error("descriptor chain {0} has an empty buffer")]
    Empty(u16),
    /// A buffer that is not in guest memory.
    #[error("descriptor chain {head} has a buffer outside memory: {len:#x} bytes at {address:#x}")]
    OutsideMemory {
        /// The chain's first descriptor.
        head: u16,
        /// The buffer's guest-physical address.
        address: u64,
        /// The length.
        len: u32,
    },
    /// A readable buffer after a writable one.
    #[error("descriptor chain {0} has a readable buffer behind a writable one")]
    OutOfOrder(u16),
}

/// A descriptor chain, resolved to guest memory.
#[derive(Debug)]
pub struct Chain<'m> {
    /// The index of its first descriptor, by which the used ring refers to it.
    pub head: u16,
    /// The data from the driver to the device.
    pub readable: Buffers<'m>,
    /// The room for the device's answer.
    pub writable: Buffers<'m>,
    /// The number of descriptors that it takes up in the queue's own table.
    pub descriptors: u16,
}

/// A split virtqueue as the device serves it.
#[derive(Debug)]
pub struct Rings<'m> {
    /// The queue as it was passed in; it is returned in the end.
    queue: Queue,
    regions: Regions<'m>,
    descriptors: VolatileSlice<'m>,
    available: VolatileSlice<'m>,
    used: VolatileSlice<'m>,
    size: u16,
    event_idx: bool,
    /// The index of the next chain to take.
    next_avail: u16,
    /// The driver's index when it was last read.
    avail_end: u16,
    /// The index of the next entry of the used ring.
    next_used: u16,
    /// The number of chains that were returned since the last [`Rings::wants_interrupt`].
    given_back: u16,
}

impl<'m> Rings<'m> {
    /// Looks up the rings of `queue` in `memory`.
    ///
    /// # Errors
    ///
    /// The rings are not aligned, or not each in one region.
    pub fn new(queue: Queue, memory: &'m GuestRam) -> Result<Self, QueueError> {
        let regions = Regions::new(memory);
        let size = queue.size();
        let find = |address: u64, align: u64, len: usize| {
            let found = address.is_multiple_of(align).then(|| regions.slice(address, len)).flatten();
            found.ok_or(QueueError::NoRings)
        };
        let entries = usize::from(size);
        if !queue.ready() || !size.is_power_of_two() {
            return Err(QueueError::NoRings);
        }
        Ok(Self {
            descriptors: find(queue.desc_table(), 16, DESCRIPTOR * entries)?,
            // After each ring there is a field for the event index.
            available: find(queue.avail_ring(), 2, RING + AVAILABLE_ENTRY * entries + 2)?,
            used: find(queue.used_ring(), 4, RING + USED_ENTRY * entries + 2)?,
            size,
            event_idx: queue.event_idx_enabled(),
            next_avail: queue.next_avail(),
            avail_end: queue.next_avail(),
            next_used: queue.next_used(),
            given_back: 0,
            regions,
            queue,
        })
    }

    /// The queue, with the current positions.
    #[must_use]
    pub fn into_queue(mut self) -> Queue {
        self.queue.set_next_avail(self.next_avail);
        self.queue.set_next_used(self.next_used);
        self.queue
    }

    /// The number of descriptors.
    #[must_use]
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Takes the next chain off the queue; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The ring or the chain is broken. According to virtio 1.3, "Virtqueues", the device can only ask for a reset.
    pub fn pop(&mut self) -> Result<Option<Chain<'m>>, QueueError> {
        if self.next_avail == self.avail_end {
            // Entries that the driver wrote before the index are visible after reading it.
            let available = load(&self.available, INDEX, Ordering::Acquire)?;
            if available.wrapping_sub(self.next_avail) > self.size {
                return Err(QueueError::Available { available, taken: self.next_avail });
            }
            self.avail_end = available;
            if available == self.next_avail {
                return Ok(None);
            }
        }
        let entry = RING + AVAILABLE_ENTRY * self.place(self.next_avail);
        let head = load(&self.available, entry, Ordering::Relaxed)?;
        self.next_avail = self.next_avail.wrapping_add(1);
        self.chain(head).map(Some)
    }

    /// Puts the chain that was taken last back on the queue. It must not have been returned to the driver.
    pub fn put_back(&mut self) {
        self.next_avail = self.next_avail.wrapping_sub(1);
    }

    /// The number of chains that can be taken, as far as is known without reading memory.
    #[must_use]
    pub fn seen(&self) -> u16 {
        self.avail_end.wrapping_sub(self.next_avail)
    }

    /// Returns the chain `head` to the driver, with `written` bytes in its writable buffers.
    ///
    /// # Errors
    ///
    /// The head is no descriptor of the queue.
    pub fn push(&mut self, head: u16, written: u32) -> Result<(), QueueError> {
        self.push_all([(head, written)])
    }

    /// Returns several chains, each with the number of bytes in its writable buffers. The driver sees all of them or none.
    ///
    /// # Errors
    ///
    /// One is no descriptor of the queue. Then no chain is returned.
    pub fn push_all(&mut self, chains: impl IntoIterator<Item = (u16, u32)>) -> Result<(), QueueError> {
        let mut next_used = self.next_used;
        for (head, written) in chains {
            if head >= self.size {
                return Err(QueueError::NoChain(head));
            }
            let entry = RING + USED_ENTRY * self.place(next_used);
            store(&self.used, entry, u32::from(head).to_le(), Ordering::Relaxed)?;
            store(&self.used, entry + 4, written.to_le(), Ordering::Relaxed)?;
            next_used = next_used.wrapping_add(1);
            self.note_writes(head);
        }
        self.given_back = self.given_back.wrapping_add(next_used.wrapping_sub(self.next_used));
        self.next_used = next_used;
        // The driver sees the entries and the written buffers before the index.
        store(&self.used, INDEX, next_used.to_le(), Ordering::Release)?;
        self.regions.memory().wrote_to(&self.used);
        Ok(())
    }

    /// Records the writable buffers of a returned chain as written to. It reads the descriptors again, which belong to the device until
    /// then; a driver that changes them nevertheless harms only its own memory.
    fn note_writes(&self, head: u16) {
        let memory = self.regions.memory();
        if memory.written().is_on()
            && let Ok(chain) = self.chain(head)
        {
            chain.writable.as_slice().iter().for_each(|buffer| memory.wrote_to(buffer));
        }
    }

    /// The number of chains that were returned since the last [`Rings::wants_interrupt`].
    #[must_use]
    pub fn unreported(&self) -> u16 {
        self.given_back
    }

    /// Returns true if the driver wants an interrupt for the chains that were returned since the last call.
    ///
    /// # Errors
    ///
    /// Never for a queue that has been served.
    pub fn wants_interrupt(&mut self) -> Result<bool, QueueError> {
        // The driver sees the used index before this reads what the driver wants, or the other way round.
        fence(Ordering::SeqCst);
        let given_back = std::mem::take(&mut self.given_back);
        if self.event_idx {
            let event =
                load(&self.available, RING + AVAILABLE_ENTRY * usize::from(self.size), Ordering::Relaxed)?;
            return Ok(self.next_used.wrapping_sub(event).wrapping_sub(1) < given_back);
        }
        let flags = load(&self.available, FLAGS, Ordering::Relaxed)?;
        Ok(u32::from(flags) & VRING_AVAIL_F_NO_INTERRUPT == 0)
    }

    /// Asks the driver for kicks. What it makes available before it sees that still has to be looked for.
    ///
    /// # Errors
    ///
    /// Never for a queue that has been served.
    pub fn enable_kicks(&mut self) -> Result<(), QueueError> {
        let (at, value) = if self.event_idx {
            (RING + USED_ENTRY * usize::from(self.size), self.next_avail)
        } else {
            (FLAGS, 0)
        };
        store(&self.used, at, value.to_le(), Ordering::Relaxed)?;
        self.regions.memory().wrote_to(&self.used);
        // The driver sees this before its index is read again.
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// Tells the driver that it need not kick. With the event index, this is so after each kick by itself.
    ///
    /// # Errors
    ///
    /// Never for a queue that has been served.
    pub fn disable_kicks(&mut self) -> Result<(), QueueError> {
        if self.event_idx {
            return Ok(());
        }
        let no_notify = u16::try_from(VRING_USED_F_NO_NOTIFY).unwrap_or(1);
        store(&self.used, FLAGS, no_notify.to_le(), Ordering::Relaxed)?;
        self.regions.memory().wrote_to(&self.used);
        Ok(())
    }

    /// The position of an index in a ring.
    fn place(&self, index: u16) -> usize {
        usize::from(index & (self.size - 1))
    }

    /// Resolves the chain that starts at descriptor `head`.
    fn chain(&self, head: u16) -> Result<Chain<'m>, QueueError> {
        let (readable, writable) = (Buffers::default(), Buffers::default());
        let mut chain = Chain { head, readable, writable, descriptors: 0 };
        let (mut table, mut is_indirect) = (self.descriptors, false);
        let (mut index, mut count, mut bytes) = (head, 0, 0_u32);
        // A chain that is longer than its table has a loop.
        let mut left = table.len() / DESCRIPTOR;
        loop {
            if left == 0 {
                return Err(QueueError::Endless(head));
            }
            let descriptor = table.get_ref::<RawDescriptor>(DESCRIPTOR * usize::from(index));
            let descriptor = Descriptor::from(descriptor.map_err(|_| QueueError::Endless(head))?.load());
            let (address, len) = (descriptor.addr().0, descriptor.len());
            chain.descriptors += u16::from(!is_indirect);
            if descriptor.refers_to_indirect_table() {
                let table_len = usize::try_from(len).unwrap_or(usize::MAX);
                let is_table = !is_indirect
                    && table_len.is_multiple_of(DESCRIPTOR)
                    && table_len / DESCRIPTOR <= usize::from(u16::MAX);
                let found = is_table.then(|| self.regions.slice(address, table_len)).flatten();
                table = found.ok_or(QueueError::Endless(head))?;
                (is_indirect, index, left) = (true, 0, table_len / DESCRIPTOR);
                continue;
            }
            bytes = bytes.checked_add(len).ok_or(QueueError::Endless(head))?;
            if count == MAX_BUFFERS {
                return Err(QueueError::TooLong(head));
            }
            if len == 0 {
                return Err(QueueError::Empty(head));
            }
            let buffers = match descriptor.is_write_only() {
                true => &mut chain.writable,
                false if chain.writable.is_empty() => &mut chain.readable,
                false => return Err(QueueError::OutOfOrder(head)),
            };
            buffers.push(&self.regions, address, len).ok_or(QueueError::OutsideMemory {
                head,
                address,
                len,
            })?;
            if !descriptor.has_next() {
                chain.readable.fit();
                chain.writable.fit();
                return Ok(chain);
            }
            (index, left, count) = (descriptor.next(), left - 1, count + 1);
        }
    }
}

/// Reads a field of a ring. The field must be in the ring.
fn load(ring: &VolatileSlice<'_>, at: usize, order: Ordering) -> Result<u16, QueueError> {
    ring.load(at, order).map(u16::from_le).map_err(|_| QueueError::NoRings)
}

/// Writes a field of a ring, in the guest's byte order.
fn store<T: AtomicAccess>(
    ring: &VolatileSlice<'_>,
    at: usize,
    value: T,
    order: Ordering,
) -> Result<(), QueueError> {
    ring.store(value, at, order).map_err(|_| QueueError::NoRings)
}

#[cfg(test)]
#[path = "queue_test.rs"]
mod tests;
