//! A driver that costs next to nothing: its buffers stay where they are, and are made available again as they are.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering, fence},
    },
    thread,
    time::Instant,
};

use arch::memory::GuestRam;
use devices::{
    net::MacAddress,
    virtio::{
        device::{Activation, ActiveQueue, Notify, VirtioDevice},
        net::{Net, NetOptions},
    },
};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use virtio_queue::{Queue, QueueT};
use vm_memory::{ByteValued, Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::{Lines, Load, ROUND, Run, Watch, Way, frame};

/// Offloads of frames both ways, the merging of receive buffers, and the event index.
const FEATURES: u64 = 1 | 1 << 1 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 12 | MRG_RXBUF | 1 << 29;
const MRG_RXBUF: u64 = 1 << 15;
const MQ: u64 = 1 << 22;
const CTRL_VQ: u64 = 1 << 17;
const WRITE: u16 = 2;
pub(super) const SIZE: u16 = 1024;

/// The offsets of a queue's parts from its base.
const DESCRIPTORS: u64 = 0;
const AVAILABLE: u64 = 0x1_0000;
const USED: u64 = 0x2_0000;
const DATA: u64 = 0x10_0000;

#[derive(Debug)]
struct Interrupts(Vec<OwnedFd>);

impl Notify for Interrupts {
    fn used(&self, queue: u16) {
        rustix::io::write(&self.0[usize::from(queue)], &1_u64.to_ne_bytes()).unwrap();
    }

    fn config_changed(&self) {}

    fn needs_reset(&self) {
        panic!("the device gave up");
    }
}

/// Does a round.
pub(super) fn run(lines: &Lines, queues: u16, load: &Load) -> Run {
    let (buffer, depth) = load.buffers(lines.way);
    let buffer = buffer as u64;
    let per_queue = (DATA + u64::from(depth) * buffer.next_multiple_of(64)).next_multiple_of(2 << 20);
    let all = 2 * queues + 1;
    let len = usize::try_from(per_queue * u64::from(all)).unwrap();
    let memory = GuestRam::from_ranges(&[(GuestAddress(0), len)]).unwrap();
    // Memory that a guest has used before costs no page fault.
    for page in (0..len as u64).step_by(4096) {
        memory.write_obj(0_u8, GuestAddress(page)).unwrap();
    }
    let interrupts =
        Arc::new(Interrupts((0..all).map(|_| eventfd(0, EventfdFlags::empty()).unwrap()).collect()));
    let kicks: Vec<_> = (0..all).map(|_| EventFd::new(libc::EFD_NONBLOCK).unwrap()).collect();
    let mine: Vec<u16> = match lines.way {
        Way::Receive => (0..queues).map(|pair| 2 * pair).collect(),
        Way::Transmit => (0..queues).map(|pair| 2 * pair + 1).collect(),
    };
    let mut drivers: Vec<_> = mine
        .iter()
        .map(|&queue| {
            let kick = &kicks[usize::from(queue)];
            Driver::new(&memory, per_queue * u64::from(queue), depth, kick, &interrupts.0[usize::from(queue)])
        })
        .collect();
    for (queue, driver) in (0..).zip(&mut drivers) {
        driver.lay_out(lines.way, load, buffer, queue);
    }
    let mut control = Driver::new(
        &memory,
        per_queue * u64::from(all - 1),
        2,
        &kicks[usize::from(all - 1)],
        &interrupts.0[usize::from(all - 1)],
    );

    let features = FEATURES | if queues > 1 { MQ | CTRL_VQ } else { 0 };
    let options = NetOptions { pairs: queues, queue_size: SIZE, ..NetOptions::new(MacAddress::local(1)) };
    let mut net = Net::new(Arc::clone(&lines.tap) as _, &options.into());
    let features = features & net.features();
    let active = mine.iter().zip(&drivers).map(|(&index, driver)| (index, driver.queue()));
    let active = active.chain([(all - 1, control.queue())]).map(|(index, queue)| ActiveQueue {
        index,
        queue,
        kick: kicks[usize::from(index)].try_clone().unwrap(),
    });
    net.activate(Activation {
        memory: memory.clone(),
        features,
        queues: active.collect(),
        notify: Arc::clone(&interrupts) as Arc<dyn Notify>,
    })
    .unwrap();
    if queues > 1 {
        control.set_pairs(queues);
    }

    let mut watch = Watch::default();
    while watch.runs() {
        if lines.way == Way::Receive {
            lines.fill(load.burst, load);
        }
        let received = AtomicU64::new(0);
        watch.time(|| {
            thread::scope(|scope| {
                let threads = drivers.iter_mut().map(|driver| {
                    let received = &received;
                    scope.spawn(move || match lines.way {
                        Way::Receive => driver.receive(load, received),
                        Way::Transmit => driver.transmit(),
                    })
                });
                threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).sum()
            })
        });
    }
    net.reset();
    watch.stop()
}

/// The driver of one queue.
struct Driver<'m> {
    /// Guest memory, and where its rings and buffers begin.
    memory: &'m GuestRam,
    base: u64,
    /// Chains, of one buffer each.
    depth: u16,
    available: u16,
    used: u16,
    kick: &'m EventFd,
    interrupt: &'m OwnedFd,
}

impl<'m> Driver<'m> {
    fn new(memory: &'m GuestRam, base: u64, depth: u16, kick: &'m EventFd, interrupt: &'m OwnedFd) -> Self {
        Self { memory, base, depth, available: 0, used: 0, kick, interrupt }
    }

    fn queue(&self) -> Queue {
        let mut queue = Queue::new(SIZE).unwrap();
        queue.try_set_desc_table_address(GuestAddress(self.base + DESCRIPTORS)).unwrap();
        queue.try_set_avail_ring_address(GuestAddress(self.base + AVAILABLE)).unwrap();
        queue.try_set_used_ring_address(GuestAddress(self.base + USED)).unwrap();
        queue.set_event_idx(true);
        queue.set_ready(true);
        queue
    }

    /// Makes the chains, and those of a receive queue available.
    fn lay_out(&mut self, way: Way, load: &Load, buffer: u64, flow: u64) {
        for chain in 0..self.depth {
            let at = DATA + u64::from(chain) * buffer.next_multiple_of(64);
            let flags = if way == Way::Receive { WRITE } else { 0 };
            self.describe(chain, at, u32::try_from(buffer).unwrap(), flags, 0);
            if way == Way::Transmit {
                let frame = frame(load, flow);
                self.memory.write_slice(&frame, self.at(at)).unwrap();
            }
        }
        if way == Way::Receive {
            (0..self.depth).for_each(|chain| self.add(chain));
            self.publish(0);
        }
    }

    /// Takes frames until all queues together have taken a burst of them.
    fn receive(&mut self, load: &Load, received: &AtomicU64) -> u64 {
        let mut done = 0;
        while received.load(Ordering::Relaxed) < load.burst {
            let (before, end) = (self.available, self.used_index());
            let mut frames = 0;
            while self.used != end {
                let head: u32 = self.read(USED + 4 + 8 * u64::from(self.used % SIZE));
                let chain = u16::try_from(head).unwrap();
                let buffer = u64::from(load.buffer);
                let chains: u16 = self.read(DATA + u64::from(chain) * buffer.next_multiple_of(64) + 10);
                for _ in 0..chains {
                    let head: u32 = self.read(USED + 4 + 8 * u64::from(self.used % SIZE));
                    self.add(u16::try_from(head).unwrap());
                    self.used = self.used.wrapping_add(1);
                }
                frames += 1;
            }
            self.publish(before);
            done += frames;
            received.fetch_add(frames, Ordering::Relaxed);
            self.wait_for(end.wrapping_add(1), received, load.burst);
        }
        done
    }

    /// Keeps the queue half full at least for a round, and empties it.
    fn transmit(&mut self) -> u64 {
        let (half, start) = (self.depth / 2, Instant::now());
        let (mut next, mut done) = (0, 0);
        let mut offer = |driver: &mut Self| {
            let before = driver.available;
            for _ in 0..half {
                driver.add(next);
                next = (next + 1) % (2 * half);
            }
            driver.publish(before);
        };
        offer(self);
        loop {
            let running = start.elapsed() < ROUND;
            if running {
                offer(self);
            } else if self.used == self.available {
                return done;
            }
            self.used = self.used.wrapping_add(half);
            done += u64::from(half);
            self.wait_for(self.used, &AtomicU64::new(0), u64::MAX);
        }
    }

    /// Has frames come by this many queue pairs.
    fn set_pairs(&mut self, pairs: u16) {
        let [low, high] = pairs.to_le_bytes();
        self.memory.write_slice(&[4, 0, low, high, 0xff], self.at(DATA)).unwrap();
        self.describe(0, DATA, 4, 1, 1);
        self.describe(1, DATA + 4, 1, WRITE, 0);
        self.add(0);
        self.publish(0);
        self.wait_for(1, &AtomicU64::new(0), u64::MAX);
        assert_eq!(self.read::<u8>(DATA + 4), 0);
    }

    /// Puts a chain into the available ring.
    fn add(&mut self, chain: u16) {
        self.write(AVAILABLE + 4 + 2 * u64::from(self.available % SIZE), chain);
        self.available = self.available.wrapping_add(1);
    }

    /// Makes available what was put there since `before`.
    fn publish(&self, before: u16) {
        self.memory.store(self.available, self.at(AVAILABLE + 2), Ordering::Release).unwrap();
        fence(Ordering::SeqCst);
        let event: u16 = self.read(USED + 4 + 8 * u64::from(SIZE));
        if self.available.wrapping_sub(event).wrapping_sub(1) < self.available.wrapping_sub(before) {
            self.kick.write(1).unwrap();
        }
    }

    fn used_index(&self) -> u16 {
        self.memory.load(self.at(USED + 2), Ordering::Acquire).unwrap()
    }

    /// Waits until `until` chains were used, counted from the start, or there is nothing more to wait for.
    fn wait_for(&self, until: u16, received: &AtomicU64, enough: u64) {
        self.write(AVAILABLE + 4 + 2 * u64::from(SIZE), until.wrapping_sub(1));
        fence(Ordering::SeqCst);
        while self.used_index().wrapping_sub(until) >= 1 << 15 && received.load(Ordering::Relaxed) < enough {
            // The last frames may have come by another queue.
            let pause = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            if poll(&mut [PollFd::new(self.interrupt, PollFlags::IN)], Some(&pause)).unwrap() > 0 {
                rustix::io::read(self.interrupt, &mut [0; 8]).unwrap();
            }
        }
    }

    fn describe(&self, index: u16, address: u64, len: u32, flags: u16, next: u16) {
        let at = DESCRIPTORS + 16 * u64::from(index);
        self.write(at, self.base + address);
        self.write(at + 8, len);
        self.write(at + 12, flags);
        self.write(at + 14, next);
    }

    fn at(&self, offset: u64) -> GuestAddress {
        GuestAddress(self.base + offset)
    }

    fn write<T: ByteValued>(&self, at: u64, value: T) {
        self.memory.write_obj(value, self.at(at)).unwrap();
    }

    fn read<T: ByteValued>(&self, at: u64) -> T {
        self.memory.read_obj(self.at(at)).unwrap()
    }
}
