//! A guest with a network device, for tests.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Lasting, Net, NetOptions, Totals, features::VERSION_1, test_network::TestNetwork};
use crate::{
    net::{HEADER_LEN, MacAddress, Offloads},
    virtio::{
        device::VirtioDevice,
        queue::test_driver::{FREE, MEMORY_SIZE, WRITE},
        test_machine::{LONG, TestMachine},
    },
};

/// The first receive and transmit queue.
pub(super) const RX: u16 = 0;
pub(super) const TX: u16 = 1;

#[derive(Debug)]
pub(super) struct Guest {
    pub(super) machine: TestMachine<Net>,
    pub(super) network: Arc<TestNetwork>,
    pub(super) lasting: Lasting,
    /// The address for the next buffer.
    free: u64,
    /// The buffers of available chains, by queue and head.
    buffers: BTreeMap<(u16, u32), Vec<(u64, u32)>>,
}

pub(super) fn options() -> NetOptions {
    NetOptions::new(MacAddress::local(1))
}

/// A frame of `len` bytes after a header. Each `seed` gives other bytes.
pub(super) fn frame(header: &[u8], len: usize, seed: u8) -> Vec<u8> {
    let mut frame = header.to_vec();
    frame.resize(HEADER_LEN, 0);
    frame.extend((0..251).cycle().take(len).map(|n| n ^ seed));
    frame
}

/// The frame as the driver gets it, if it comes in `chains` chains.
pub(super) fn in_chains(mut frame: Vec<u8>, chains: u16) -> Vec<u8> {
    frame[10..HEADER_LEN].copy_from_slice(&chains.to_le_bytes());
    frame
}

/// Waits until the condition holds.
pub(super) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "it does not happen");
        thread::sleep(Duration::from_micros(50));
    }
}

impl Guest {
    pub(super) fn new(options: NetOptions, can: Offloads) -> Self {
        let queues = 2 * options.pairs + 1;
        Self::on(TestNetwork::new(options.pairs, can), options, queues)
    }

    /// A guest whose host's side is `network`.
    pub(super) fn on(network: TestNetwork, options: NetOptions, queues: u16) -> Self {
        let network = Arc::new(network);
        let lasting = Lasting::from(options);
        let machine = TestMachine::new(Net::new(Arc::clone(&network) as _, &lasting), queues);
        Self { machine, network, lasting, free: FREE, buffers: BTreeMap::new() }
    }

    /// A guest that has negotiated `features`, and whose device runs.
    pub(super) fn start(features: u64) -> Self {
        let mut guest = Self::new(options(), Offloads::all());
        guest.restart(features);
        guest
    }

    /// Starts a new driver, which takes `features` of those offered.
    pub(super) fn restart(&mut self, features: u64) {
        self.begin(features, VERSION_1);
    }

    /// Starts a new driver from before virtio 1.0.
    pub(super) fn restart_legacy(&mut self, features: u64) {
        self.begin(features, 0);
    }

    fn begin(&mut self, features: u64, version: u64) {
        assert_eq!(features & !self.machine.device.features(), 0);
        self.machine.device.reset();
        (self.free, self.buffers) = (FREE, BTreeMap::new());
        self.machine.device.features_agreed(features | version);
        self.machine.activate(features | version);
    }

    /// Allocates `len` bytes, with a gap after them.
    pub(super) fn allocate(&mut self, len: u32) -> u64 {
        let len = u64::from(len) + 16;
        if self.free + len > MEMORY_SIZE {
            self.free = FREE;
        }
        let address = self.free;
        self.free += len;
        address
    }

    /// Makes a chain of buffers of these lengths available, which hold `bytes`, without a kick. If there are more than four, they are in an
    /// indirect table.
    pub(super) fn offer(&mut self, queue: u16, lens: &[u32], flags: u16, bytes: &[u8]) {
        let buffers: Vec<_> = lens.iter().map(|&len| (self.allocate(len), len)).collect();
        let descriptors: Vec<_> = buffers.iter().map(|&(at, len)| (at, len, flags)).collect();
        let table = self.allocate(16 + 16 * u32::try_from(lens.len()).unwrap()).next_multiple_of(16);
        let driver = &mut self.machine.drivers[usize::from(queue)];
        let mut rest = bytes;
        for &(at, len) in &buffers {
            let (now, later) = rest.split_at(rest.len().min(len as usize));
            driver.write(at, now);
            rest = later;
        }
        let head = match lens.len() {
            ..=4 => driver.chain(&descriptors),
            _ => driver.indirect_chain(table, &descriptors),
        };
        assert!(self.buffers.insert((queue, head.into()), buffers).is_none(), "the queue is full");
    }

    /// Makes receive buffers available, a chain for each list of lengths.
    pub(super) fn post(&mut self, queue: u16, chains: &[&[u32]]) {
        for lens in chains {
            self.offer(queue, lens, WRITE, &[]);
        }
        self.machine.kick(queue);
    }

    /// The number of chains that are available, or used and not taken.
    pub(super) fn posted(&self, queue: u16) -> usize {
        self.buffers.keys().filter(|(of, _)| *of == queue).count()
    }

    /// Takes a used chain, if there is one, and returns its bytes.
    pub(super) fn used(&mut self, queue: u16) -> Option<Vec<u8>> {
        let driver = &mut self.machine.drivers[usize::from(queue)];
        let (head, len) = driver.used()?;
        let buffers = self.buffers.remove(&(queue, head)).expect("it was available");
        let bytes = buffers.iter().flat_map(|&(at, len)| driver.read(at, len as usize));
        let bytes: Vec<_> = bytes.collect();
        assert!(len as usize <= bytes.len());
        Some(bytes[..len as usize].to_vec())
    }

    /// Takes a frame with its header, if there is one. All of it comes at once.
    pub(super) fn try_receive(&mut self, queue: u16) -> Option<Vec<u8>> {
        let (mut frame, mut chains) = (self.used(queue)?, 1);
        let more = |guest: &mut Self| guest.used(queue).expect("all of a frame is there at once");
        // The header may be spread over several chains, too.
        while frame.len() < HEADER_LEN {
            frame.extend(more(self));
            chains += 1;
        }
        let all = u16::from_le_bytes([frame[10], frame[11]]);
        assert!(all >= chains, "{all} chains, of which {chains} hold the header");
        (chains..all).for_each(|_| frame.extend(more(self)));
        Some(frame)
    }

    pub(super) fn receive(&mut self, queue: u16) -> Vec<u8> {
        let mut frame = None;
        wait_until(|| {
            frame = self.try_receive(queue);
            frame.is_some()
        });
        frame.unwrap()
    }

    /// Sends a frame that is cut into these lengths, without waiting until it is sent.
    pub(super) fn send(&mut self, queue: u16, frame: &[u8], lens: &[u32]) {
        assert_eq!(lens.iter().sum::<u32>() as usize, frame.len());
        self.offer(queue, lens, 0, frame);
        self.machine.kick(queue);
    }

    /// Waits until all available chains are used.
    pub(super) fn wait_for_used(&mut self, queue: u16) {
        wait_until(|| {
            while self.used(queue).is_some() {}
            self.posted(queue) == 0
        });
    }

    /// Sends a command, and returns the answer.
    pub(super) fn command(&mut self, queue: u16, command: &[u8]) -> u8 {
        let (at, ack) = (self.allocate(u32::try_from(command.len()).unwrap()), self.allocate(1));
        let driver = &mut self.machine.drivers[usize::from(queue)];
        driver.write(at, command);
        driver.write(ack, &[0xaa]);
        driver.chain(&[(at, u32::try_from(command.len()).unwrap(), 0), (ack, 1, WRITE)]);
        self.machine.kick(queue);
        let mut used = None;
        wait_until(|| {
            used = self.machine.drivers[usize::from(queue)].used();
            used.is_some()
        });
        assert_eq!(used.unwrap().1, 1);
        self.machine.drivers[usize::from(queue)].read(ack, 1)[0]
    }

    pub(super) fn totals(&self) -> Totals {
        self.lasting.counters.total()
    }

    pub(super) fn status(&self) -> u16 {
        let mut status = [0; 2];
        self.machine.device.read_config(6, &mut status);
        u16::from_le_bytes(status)
    }

    /// The number of times that the device has tried to receive frames.
    pub(super) fn receives(&self) -> u32 {
        self.network.test_port(0).receives.load(Ordering::SeqCst)
    }
}
