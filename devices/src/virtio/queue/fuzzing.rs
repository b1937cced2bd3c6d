//! Fuzzes rings.

use arch::memory::GuestRam;
use virtio_queue::{
    Queue, QueueT,
    desc::{RawDescriptor, split::Descriptor},
};
use vm_memory::{Bytes, GuestAddress, VolatileSlice};
use zerocopy::{
    FromBytes, Immutable, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

use super::{Chain, Rings};

/// The length of each of the two regions of memory, which are adjacent. There is nothing after them.
const REGION: usize = 0x2000;
/// Bytes of memory.
pub(in super::super) const MEMORY: usize = 2 * REGION;

/// The addresses of the rings, each with room for 32 entries, and of the table: close together, so that little input fills them.
/// virtio-queue takes address 0 for none.
pub(in super::super) const AVAIL: u64 = 0x10;
pub(in super::super) const TABLE: u64 = 0x80;
const USED: u64 = 0x280;
/// The start of free memory after them.
pub(in super::super) const FREE: u64 = 0x400;

/// The most descriptors of a queue that [`lay_out`] fills.
pub(in super::super) const QUEUE_SIZE: u16 = 32;

/// A descriptor in a few bytes, most of which make sense. Those for the queue's table follow the first byte, up to one that is incomplete
/// or has `len` 0. The rest of the input is in memory from [`FREE`] on.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Packed {
    address: U16,
    len: U32,
    /// The virtqueue's flags. Bit 7: a chain begins here.
    flags: u8,
    /// The distance to the next descriptor.
    next: u8,
}

/// A queue in a memory that has `data` from the available ring on, except for the first byte, which chooses the kind of queue.
pub fn queue(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let memory = memory();
    let most = MEMORY - usize::try_from(AVAIL).expect("it is in memory");
    memory.write_slice(&data[..data.len().min(most)], GuestAddress(AVAIL)).expect("it is memory");
    let mut queue = new_queue(1 << (how & 7).min(5));
    queue.set_event_idx(how & 8 != 0);
    let written = u32::from(how >> 4);
    let mut rings = Rings::new(queue, &memory).expect("the rings are in memory");

    // Limited, as the device's own writes may make more chains available, without an end.
    for _ in 0..256 {
        let Ok(Some(chain)) = rings.pop() else { break };
        let head = chain.head;
        assert!(head < rings.size());
        take_apart(chain);
        if rings.push(head, written).is_err()
            || rings.wants_interrupt().is_err()
            || rings.disable_kicks().is_err()
            || rings.enable_kicks().is_err()
        {
            break;
        }
    }
}

/// Memory of two adjacent regions, with nothing above.
pub(in super::super) fn memory() -> GuestRam {
    let regions = [0, REGION].map(|start| (GuestAddress(start as u64), REGION));
    GuestRam::from_ranges(&regions).expect("a few pages")
}

/// A queue whose rings are at the start of [`memory`].
pub(in super::super) fn new_queue(size: u16) -> Queue {
    let mut queue = Queue::new(size).expect("a size of queues");
    queue.try_set_desc_table_address(GuestAddress(TABLE)).expect("it is aligned");
    queue.try_set_avail_ring_address(GuestAddress(AVAIL)).expect("it is aligned");
    queue.try_set_used_ring_address(GuestAddress(USED)).expect("it is aligned");
    queue.set_ready(true);
    queue
}

/// Writes the descriptors, the available ring and the rest of `data` to memory.
pub(in super::super) fn lay_out(memory: &GuestRam, data: &[u8]) {
    let mut rest = data;
    let mut available = Vec::new();
    for index in 0..QUEUE_SIZE {
        let Ok((packed, behind)) = Packed::read_from_prefix(rest) else { break };
        rest = behind;
        if packed.len.get() == 0 {
            break;
        }
        if packed.flags & 1 << 7 != 0 {
            available.push(index);
        }
        let descriptor = Descriptor::new(
            packed.address.get().into(),
            packed.len.get(),
            u16::from(packed.flags & !(1 << 7)),
            index.wrapping_add(packed.next.into()) % QUEUE_SIZE,
        );
        let place = GuestAddress(TABLE + 16 * u64::from(index));
        memory.write_obj(RawDescriptor::from(descriptor), place).expect("it is memory");
    }
    let count = u16::try_from(available.len()).expect("no more than descriptors");
    let ring = [0, count].into_iter().chain(available);
    let ring: Vec<u8> = ring.flat_map(u16::to_le_bytes).collect();
    memory.write_slice(&ring, GuestAddress(AVAIL)).expect("it is memory");
    let room = MEMORY - usize::try_from(FREE).expect("it is in memory");
    memory.write_slice(&rest[..rest.len().min(room)], GuestAddress(FREE)).expect("it is memory");
}

/// Returns the bytes of `buffer`.
pub(in super::super) fn bytes(buffer: &VolatileSlice<'_>) -> Vec<u8> {
    let mut bytes = vec![0; buffer.len()];
    buffer.copy_to(&mut bytes[..]);
    bytes
}

/// Returns all bytes of `memory`.
pub(in super::super) fn everything(memory: &GuestRam) -> Vec<u8> {
    let mut bytes = vec![0; MEMORY];
    memory.read_slice(&mut bytes, GuestAddress(0)).expect("it is memory");
    bytes
}

/// Reads from and writes to a chain's buffers as a device does.
fn take_apart(chain: Chain<'_>) {
    let Chain { mut readable, mut writable, .. } = chain;
    let len = readable.len();
    assert!(len as u64 + writable.len() as u64 <= u64::from(u32::MAX));
    let taken = readable.take_front::<16>().map_or(0, |bytes| bytes.len());
    assert_eq!((taken, readable.len()), if len < 16 { (0, len) } else { (16, len - 16) });

    let len = writable.len();
    let last = writable.take_last();
    assert_eq!((last.is_some(), writable.len()), (len > 0, len.saturating_sub(1)));
    assert_eq!(writable.write(&[0x5a; 20]), writable.len().min(20));
    if let Some(last) = last {
        assert_eq!(last.len(), 1);
        last.copy_from(&[1_u8]);
    }
}
