//! A driver that costs next to nothing: its chains stay as they are, and it makes half a queue available at a time.

use std::{
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
    thread,
};

use arch::memory::GuestRam;
use devices::{
    block::{BlockOptions, Engine},
    disk::Disk,
    virtio::{
        block::Block,
        device::{Activation, ActiveQueue, Notify, VirtioDevice},
    },
};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::{Load, Places, Run, Watch};

const FEATURE_FLUSH: u64 = 1 << 9;
const FEATURE_EVENT_IDX: u64 = 1 << 29;
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const CHAIN: u16 = 3;

/// The offsets of a queue's parts from its base.
const DESCRIPTORS: u64 = 0;
const AVAILABLE: u64 = 0x10000;
const USED: u64 = 0x20000;
const HEADERS: u64 = 0x30000;
const STATUSES: u64 = 0x40000;
const DATA: u64 = 0x100000;

#[derive(Debug)]
struct Interrupts(Vec<EventFd>);

impl Notify for Interrupts {
    fn used(&self, queue: u16) {
        self.0[usize::from(queue)].write(1).unwrap();
    }

    fn config_changed(&self) {}

    fn needs_reset(&self) {
        panic!("the device gave up");
    }
}

/// Does a round.
pub(super) fn run(disk: &Arc<dyn Disk>, engine: Engine, queues: u16, load: &Load) -> Run {
    let per_queue = (DATA + u64::from(load.depth) * u64::from(load.len)).next_multiple_of(2 << 20);
    let len = usize::try_from(per_queue * u64::from(queues)).unwrap();
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), len)]).unwrap();
    // Memory that a guest has used before costs no page fault.
    for page in (0..len as u64).step_by(4096) {
        memory.write_obj(0_u8, GuestAddress(page)).unwrap();
    }
    let interrupts = Arc::new(Interrupts((0..queues).map(|_| EventFd::new(0).unwrap()).collect()));
    let drivers: Vec<_> = (0..queues)
        .map(|index| Driver::new(&memory, u64::from(index) * per_queue, load, index.into()))
        .collect();
    let kicks: Vec<_> = (0..queues).map(|_| EventFd::new(libc::EFD_NONBLOCK).unwrap()).collect();

    let options =
        BlockOptions { queues, queue_size: ring_size(load.depth), engine, ..BlockOptions::default() };
    let mut block = Block::new(Arc::clone(disk), &options.into());
    let active = (0..).zip(drivers.iter().zip(&kicks)).map(|(index, (driver, kick))| ActiveQueue {
        index,
        queue: driver.queue(),
        kick: kick.try_clone().unwrap(),
    });
    block
        .activate(Activation {
            memory: memory.clone(),
            features: FEATURE_FLUSH | FEATURE_EVENT_IDX,
            queues: active.collect(),
            notify: Arc::clone(&interrupts) as Arc<dyn Notify>,
        })
        .unwrap();

    let watch = Watch::start();
    let done = thread::scope(|scope| {
        let threads: Vec<_> = drivers
            .into_iter()
            .zip(kicks.iter().zip(&interrupts.0))
            .map(|(driver, (kick, interrupt))| scope.spawn(|| driver.run(&watch, kick, interrupt)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let run = watch.stop(done);
    block.reset();
    run
}

/// One queue.
struct Driver<'m> {
    memory: &'m GuestRam,
    base: u64,
    depth: u16,
    places: Places,
    available: u16,
    /// Chains that the device does not have.
    free: Vec<u16>,
}

impl<'m> Driver<'m> {
    /// Lays out the chains: header, data, status.
    fn new(memory: &'m GuestRam, base: u64, load: &Load, seed: u64) -> Self {
        let driver = Self {
            memory,
            base,
            depth: load.depth,
            places: Places::new(load, seed + 1),
            available: 0,
            free: (0..load.depth).collect(),
        };
        for chain in 0..load.depth {
            let n = u64::from(chain);
            let data = if load.write { NEXT } else { NEXT | WRITE };
            let first = CHAIN * chain;
            driver.descriptor(first, HEADERS + 16 * n, 16, NEXT, first + 1);
            driver.descriptor(first + 1, DATA + n * u64::from(load.len), load.len, data, first + 2);
            driver.descriptor(first + 2, STATUSES + n, 1, WRITE, 0);
            driver.write(HEADERS + 16 * n, u32::from(load.write));
        }
        driver
    }

    fn ring_size(&self) -> u16 {
        ring_size(self.depth)
    }

    fn queue(&self) -> Queue {
        let mut queue = Queue::new(self.ring_size()).unwrap();
        queue.try_set_size(self.ring_size()).unwrap();
        queue.try_set_desc_table_address(GuestAddress(self.base + DESCRIPTORS)).unwrap();
        queue.try_set_avail_ring_address(GuestAddress(self.base + AVAILABLE)).unwrap();
        queue.try_set_used_ring_address(GuestAddress(self.base + USED)).unwrap();
        queue.set_event_idx(true);
        queue.set_ready(true);
        queue
    }

    /// Keeps the queue half full at least for a round, and empties it.
    fn run(mut self, watch: &Watch, kick: &EventFd, interrupt: &EventFd) -> u64 {
        let half = (self.depth / 2).max(1);
        if self.depth > 1 {
            self.offer(half, kick);
        }
        let mut done: u16 = 0;
        let mut total = 0;
        loop {
            let running = watch.runs();
            if running {
                self.offer(half, kick);
            } else if done == self.available {
                return total;
            }
            // The half that was offered before.
            let until = done.wrapping_add(half);
            self.wait_for(until, interrupt);
            for index in 0..half {
                let at = USED + 4 + 8 * u64::from(done.wrapping_add(index) % self.ring_size());
                let head: u32 = self.read(at);
                self.free.push(u16::try_from(head).unwrap() / CHAIN);
            }
            done = until;
            total += u64::from(half);
        }
    }

    /// Makes `count` chains available.
    fn offer(&mut self, count: u16, kick: &EventFd) {
        let size = self.ring_size();
        for n in 0..count {
            let index = self.available.wrapping_add(n);
            let chain = self.free.pop().unwrap();
            let sector = self.places.next() / 512;
            self.write(HEADERS + 16 * u64::from(chain) + 8, sector);
            self.write(AVAILABLE + 4 + 2 * u64::from(index % size), CHAIN * chain);
        }
        let before = self.available;
        self.available = before.wrapping_add(count);
        fence(Ordering::Release);
        self.write(AVAILABLE + 2, self.available);
        fence(Ordering::SeqCst);
        let event: u16 = self.read(USED + 4 + 8 * u64::from(size));
        if self.available.wrapping_sub(event).wrapping_sub(1) < self.available.wrapping_sub(before) {
            kick.write(1).unwrap();
        }
    }

    /// Waits until `until` chains were used, counted from the start.
    fn wait_for(&self, until: u16, interrupt: &EventFd) {
        let is_there = || {
            let used: u16 = self.read(USED + 2);
            used.wrapping_sub(until) < 1 << 15
        };
        self.write(AVAILABLE + 4 + 2 * u64::from(self.ring_size()), until.wrapping_sub(1));
        fence(Ordering::SeqCst);
        while !is_there() {
            interrupt.read().unwrap();
        }
    }

    fn descriptor(&self, index: u16, address: u64, len: u32, flags: u16, next: u16) {
        let at = DESCRIPTORS + 16 * u64::from(index);
        self.write(at, self.base + address);
        self.write(at + 8, len);
        self.write(at + 12, flags);
        self.write(at + 14, next);
    }

    fn write<T: vm_memory::ByteValued>(&self, at: u64, value: T) {
        self.memory.write_obj(value, GuestAddress(self.base + at)).unwrap();
    }

    fn read<T: vm_memory::ByteValued>(&self, at: u64) -> T {
        self.memory.read_obj(GuestAddress(self.base + at)).unwrap()
    }
}

/// Entries of the rings: each chain has three descriptors.
fn ring_size(depth: u16) -> u16 {
    (CHAIN * depth).next_power_of_two()
}
