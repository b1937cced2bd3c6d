//! A driver that costs next to nothing: its chains stay unchanged, and it makes half a queue available at a time.

use std::{sync::Arc, thread, time::Instant};

use devices::{
    block::{BlockOptions, Engine},
    disk::Disk,
    virtio::{
        block::Block,
        device::{Activation, Notify, VirtioDevice},
    },
};

use vm_memory::{Address, GuestMemoryBackend};

use super::{
    Load, Places,
    bench::{
        figures::{ROUND, Run, Watch},
        ring::{DATA, Guest, NEXT, Ring, WRITE},
    },
};

const FEATURE_FLUSH: u64 = 1 << 9;
const FEATURE_EVENT_IDX: u64 = 1 << 29;
const CHAIN: u16 = 3;

/// The offsets of headers, status bytes, and data.
const HEADERS: u64 = DATA;
const STATUSES: u64 = DATA + 0x1_0000;
const BUFFERS: u64 = DATA + 0x2_0000;

/// Runs a round. With `notes`, the device notes the pages that it writes to.
pub(super) fn run(disk: &Arc<dyn Disk>, engine: Engine, queues: u16, load: &Load, notes: bool) -> Run {
    let guest = Guest::new(queues, BUFFERS - DATA + u64::from(load.depth) * u64::from(load.len));
    if notes {
        guest.memory.written().switch_on(guest.memory.last_addr().raw_value() + 1);
    }
    let mut drivers: Vec<_> = (0..queues).map(|index| Driver::new(&guest, load, index)).collect();
    let options =
        BlockOptions { queues, queue_size: ring_size(load.depth), engine, ..BlockOptions::default() };
    let mut block = Block::new(Arc::clone(disk), &options.into());
    block
        .activate(Activation {
            memory: guest.memory.clone(),
            features: FEATURE_FLUSH | FEATURE_EVENT_IDX,
            queues: drivers.iter().map(|driver| driver.ring.active()).collect(),
            notify: Arc::clone(&guest.interrupts) as Arc<dyn Notify>,
        })
        .unwrap();

    let mut watch = Watch::default();
    watch.time(|| {
        thread::scope(|scope| {
            let threads: Vec<_> = drivers.iter_mut().map(|driver| scope.spawn(|| driver.run())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    });
    block.reset();
    watch.stop()
}

/// One queue.
struct Driver<'m> {
    ring: Ring<'m>,
    depth: u16,
    places: Places,
    /// Chains that are not at the device.
    free: Vec<u16>,
}

impl<'m> Driver<'m> {
    /// Lays out the chains: header, data, status.
    fn new(guest: &'m Guest, load: &Load, index: u16) -> Self {
        let ring = guest.ring(index, ring_size(load.depth));
        for chain in 0..load.depth {
            let n = u64::from(chain);
            let data = if load.write { NEXT } else { NEXT | WRITE };
            let first = CHAIN * chain;
            ring.describe(first, HEADERS + 16 * n, 16, NEXT, first + 1);
            ring.describe(first + 1, BUFFERS + n * u64::from(load.len), load.len, data, first + 2);
            ring.describe(first + 2, STATUSES + n, 1, WRITE, 0);
            ring.write_bytes(HEADERS + 16 * n, &u32::from(load.write).to_le_bytes());
        }
        let places = Places::new(load, u64::from(index) + 1);
        Self { ring, depth: load.depth, places, free: (0..load.depth).collect() }
    }

    /// Keeps the queue at least half full for a round, and then empties it.
    fn run(&mut self) -> u64 {
        let (half, start) = ((self.depth / 2).max(1), Instant::now());
        if self.depth > 1 {
            self.offer(half);
        }
        let (mut done, mut total) = (0_u16, 0);
        loop {
            let running = start.elapsed() < ROUND;
            if running {
                self.offer(half);
            } else if done == self.ring.available {
                return total;
            }
            // The half that was offered before.
            let until = done.wrapping_add(half);
            self.ring.interrupt_at(until);
            while !self.ring.has_used(until) {
                self.ring.sleep();
            }
            let numbers = (0..half).map(|n| done.wrapping_add(n));
            self.free.extend(numbers.map(|number| self.ring.used_head(number) / CHAIN));
            done = until;
            total += u64::from(half);
        }
    }

    /// Makes `count` chains available.
    fn offer(&mut self, count: u16) {
        let before = self.ring.available;
        for _ in 0..count {
            let chain = self.free.pop().unwrap();
            let sector = self.places.next() / 512;
            self.ring.write_bytes(HEADERS + 16 * u64::from(chain) + 8, &sector.to_le_bytes());
            self.ring.add(CHAIN * chain);
        }
        self.ring.publish(before);
    }
}

/// The number of entries of the rings: each chain has three descriptors.
fn ring_size(depth: u16) -> u16 {
    (CHAIN * depth).next_power_of_two()
}
