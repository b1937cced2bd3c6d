//! Taking requests off a virtqueue whose driver may be broken or hostile.
//!
//! virtio-queue ends a chain early, without a word, where it can't be followed, and has one `None` for a ring that is
//! empty and one that makes no sense. Here a chain is either whole, in guest memory and in order, or an error after
//! which the queue can't be used: the driver and the device no longer agree on what it holds.

mod buffers;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod test_driver;

use std::sync::atomic::Ordering;

use virtio_bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

pub use self::buffers::Buffers;

/// The most buffers in a chain. The specification says the queue's size, but drivers that use indirect tables go past
/// small ones, and QEMU lets them go up to this.
const MAX_BUFFERS: usize = 1024;

/// Why a queue can't go on.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// An available index out of bounds, or a ring that is not in memory.
    #[error("its rings make no sense")]
    Ring(#[source] virtio_queue::Error),
    /// A loop, an index past the table, a bad indirect table, or 4 GiB and more.
    #[error("descriptor chain {0} has no end")]
    Endless(u16),
    /// More than 1024 buffers.
    #[error("descriptor chain {0} has too many buffers")]
    TooLong(u16),
    /// A buffer of no bytes.
    #[error("descriptor chain {0} has an empty buffer")]
    Empty(u16),
    /// A buffer not in guest memory.
    #[error("descriptor chain {head} has a buffer outside memory: {len:#x} bytes at {address:#x}")]
    OutsideMemory {
        /// The chain's first descriptor.
        head: u16,
        /// The buffer's guest-physical address.
        address: u64,
        /// Its length.
        len: u32,
    },
    /// A device-readable buffer behind a device-writable one.
    #[error("descriptor chain {0} has a readable buffer behind a writable one")]
    OutOfOrder(u16),
}

/// A descriptor chain, resolved to guest memory.
#[derive(Debug)]
pub struct Chain<'m> {
    /// Its first descriptor, which names it in the used ring.
    pub head: u16,
    /// What the driver gives to the device.
    pub readable: Buffers<'m>,
    /// Where the device answers.
    pub writable: Buffers<'m>,
}

/// Takes the next chain off `queue`; `None` if there is none.
///
/// # Errors
///
/// The ring or the chain is broken: virtio 1.3, "Virtqueues", leaves nothing to do but to ask for a reset.
pub fn pop<'m>(queue: &mut Queue, memory: &'m GuestMemoryMmap) -> Result<Option<Chain<'m>>, QueueError> {
    let mut next = queue.iter(memory).map_err(QueueError::Ring)?.next();
    if next.is_none() {
        let end = queue.avail_idx(memory, Ordering::Acquire).map_err(QueueError::Ring)?;
        if end.0 == queue.next_avail() {
            return Ok(None);
        }
        // It has come meanwhile, or can't be read.
        next = queue.iter(memory).map_err(QueueError::Ring)?.next();
    }
    let mut descriptors = next.ok_or(QueueError::Ring(virtio_queue::Error::InvalidAvailRingIndex))?;

    let head = descriptors.head_index();
    let mut chain = Chain { head, readable: Buffers::default(), writable: Buffers::default() };
    let mut ended = false;
    for (n, descriptor) in descriptors.by_ref().enumerate() {
        if n == MAX_BUFFERS {
            return Err(QueueError::TooLong(head));
        }
        if descriptor.len() == 0 {
            return Err(QueueError::Empty(head));
        }
        let buffers = match descriptor.is_write_only() {
            true => &mut chain.writable,
            false if chain.writable.is_empty() => &mut chain.readable,
            false => return Err(QueueError::OutOfOrder(head)),
        };
        buffers.push(memory, descriptor.addr(), descriptor.len()).ok_or(QueueError::OutsideMemory {
            head,
            address: descriptor.addr().0,
            len: descriptor.len(),
        })?;
        ended = !descriptor.has_next();
    }
    // The iterator also ends at what it can't follow: only the last one's flags tell.
    if ended { Ok(Some(chain)) } else { Err(QueueError::Endless(head)) }
}

/// Gives the chain `head` back to the driver, with `written` bytes in its writable buffers.
///
/// # Errors
///
/// The rings are not in memory.
pub fn push(queue: &mut Queue, memory: &GuestMemoryMmap, head: u16, written: u32) -> Result<(), QueueError> {
    queue.add_used(memory, head, written).map_err(QueueError::Ring)
}

/// Whether the driver wants an interrupt for the chains that were given back since this was asked last.
///
/// # Errors
///
/// The rings are not in memory.
pub fn wants_interrupt(queue: &mut Queue, memory: &GuestMemoryMmap) -> Result<bool, QueueError> {
    let wanted = queue.needs_notification(memory).map_err(QueueError::Ring)?;
    Ok(wanted && (queue.event_idx_enabled() || !interrupts_off(queue, memory)))
}

/// Without the event index, `VIRTQ_AVAIL_F_NO_INTERRUPT` is how a driver that polls says so.
fn interrupts_off(queue: &Queue, memory: &GuestMemoryMmap) -> bool {
    let flags: u16 = memory.load(GuestAddress(queue.avail_ring()), Ordering::Relaxed).unwrap_or(0);
    u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT != 0
}

#[cfg(test)]
#[path = "queue_test.rs"]
mod tests;
