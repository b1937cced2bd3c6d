//! A driver that costs next to nothing: its buffers stay in place, and are made available again unchanged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use devices::{
    net::MacAddress,
    virtio::{
        device::{Activation, Notify, VirtioDevice},
        net::{Net, NetOptions},
    },
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Lines, Load, Way,
    bench::{
        figures::{ROUND, Run},
        ring::{DATA, Guest, NEXT, Ring, WRITE},
    },
    frame, round,
};

/// Offloads in both directions, mergeable receive buffers, and the event index.
const FEATURES: u64 = 1 | 1 << 1 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 12 | MRG_RXBUF | 1 << 29;
const MRG_RXBUF: u64 = 1 << 15;
const MQ: u64 = 1 << 22;
const CTRL_VQ: u64 = 1 << 17;
pub(super) const SIZE: u16 = 1024;

/// Runs a round.
pub(super) fn run(lines: &Lines, queues: u16, load: &Load) -> Run {
    let (buffer, depth) = load.buffers(lines.way);
    let stride = (buffer as u64).next_multiple_of(64);
    let all = 2 * queues + 1;
    let guest = Guest::new(all, u64::from(depth) * stride);
    let first = if lines.way == Way::Receive { 0 } else { 1 };
    let mut drivers: Vec<_> = (0..queues)
        .map(|pair| Driver { ring: guest.ring(2 * pair + first, SIZE), stride, depth, used: 0 })
        .collect();
    for (flow, driver) in (0..).zip(&mut drivers) {
        driver.lay_out(lines.way, load, u32::try_from(buffer).unwrap(), flow);
    }
    let mut control = Driver { ring: guest.ring(all - 1, SIZE), stride, depth: 2, used: 0 };

    let features = FEATURES | if queues > 1 { MQ | CTRL_VQ } else { 0 };
    let options = NetOptions { pairs: queues, queue_size: SIZE, ..NetOptions::new(MacAddress::local(1)) };
    let mut net = Net::new(Arc::clone(&lines.tap) as _, &options.into());
    let features = features & net.features();
    net.activate(Activation {
        memory: guest.memory.clone(),
        features,
        queues: drivers.iter().chain([&control]).map(|driver| driver.ring.active()).collect(),
        notify: Arc::clone(&guest.interrupts) as Arc<dyn Notify>,
    })
    .unwrap();
    if queues > 1 {
        control.set_pairs(queues);
    }

    let work = |driver: &mut Driver<'_>, received: &AtomicU64| match lines.way {
        Way::Receive => driver.receive(load, received),
        Way::Transmit => driver.transmit(),
    };
    let run = round(lines, load, &mut drivers, work);
    net.reset();
    run
}

/// The driver of one queue.
struct Driver<'m> {
    ring: Ring<'m>,
    /// The distance of two buffers in bytes.
    stride: u64,
    /// The number of chains, each with one buffer.
    depth: u16,
    /// The number of used chains that were seen.
    used: u16,
}

impl Driver<'_> {
    /// Builds the chains, and makes those of a receive queue available.
    fn lay_out(&mut self, way: Way, load: &Load, buffer: u32, flow: u64) {
        for chain in 0..self.depth {
            let at = self.buffer(chain);
            let flags = if way == Way::Receive { WRITE } else { 0 };
            self.ring.describe(chain, at, buffer, flags, 0);
            if way == Way::Transmit {
                self.ring.write_bytes(at, &frame(load, flow));
            }
        }
        if way == Way::Receive {
            (0..self.depth).for_each(|chain| self.ring.add(chain));
            self.ring.publish(0);
        }
    }

    /// Takes frames until all queues together have taken a burst.
    fn receive(&mut self, load: &Load, received: &AtomicU64) -> u64 {
        let mut done = 0;
        while received.load(Ordering::Relaxed) < load.burst {
            let (before, end) = (self.ring.available, self.ring.used());
            let mut frames = 0;
            while self.used != end {
                let chains: u16 = self.ring.read(self.buffer(self.ring.used_head(self.used)) + 10);
                for _ in 0..chains {
                    self.ring.add(self.ring.used_head(self.used));
                    self.used = self.used.wrapping_add(1);
                }
                frames += 1;
            }
            self.ring.publish(before);
            done += frames;
            received.fetch_add(frames, Ordering::Relaxed);
            self.wait_for(end.wrapping_add(1), received, load.burst);
        }
        done
    }

    /// Keeps the queue at least half full for a round, and then empties it.
    fn transmit(&mut self) -> u64 {
        let (half, start) = (self.depth / 2, Instant::now());
        let (mut next, mut done) = (0, 0);
        let mut offer = |ring: &mut Ring<'_>| {
            let before = ring.available;
            for _ in 0..half {
                ring.add(next);
                next = (next + 1) % (2 * half);
            }
            ring.publish(before);
        };
        offer(&mut self.ring);
        loop {
            let running = start.elapsed() < ROUND;
            if running {
                offer(&mut self.ring);
            } else if self.used == self.ring.available {
                return done;
            }
            self.used = self.used.wrapping_add(half);
            done += u64::from(half);
            self.wait_for(self.used, &AtomicU64::new(0), u64::MAX);
        }
    }

    /// Enables this many queue pairs.
    fn set_pairs(&mut self, pairs: u16) {
        let [low, high] = pairs.to_le_bytes();
        self.ring.write_bytes(DATA, &[4, 0, low, high, 0xff]);
        self.ring.describe(0, DATA, 4, NEXT, 1);
        self.ring.describe(1, DATA + 4, 1, WRITE, 0);
        self.ring.add(0);
        self.ring.publish(0);
        self.wait_for(1, &AtomicU64::new(0), u64::MAX);
        assert_eq!(self.ring.read::<u8>(DATA + 4), 0);
    }

    /// Waits until `until` chains were used, counted from the start, or no more will come.
    fn wait_for(&self, until: u16, received: &AtomicU64, enough: u64) {
        self.ring.interrupt_at(until);
        while !self.ring.has_used(until) && received.load(Ordering::Relaxed) < enough {
            // The last frames may have arrived by another queue.
            let pause = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            if poll(&mut [PollFd::new(self.ring.interrupt, PollFlags::IN)], Some(&pause)).unwrap() > 0 {
                self.ring.sleep();
            }
        }
    }

    fn buffer(&self, chain: u16) -> u64 {
        DATA + u64::from(chain) * self.stride
    }
}
