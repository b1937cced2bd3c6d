//! A driver of a virtio network card, with one buffer for each descriptor, and frames in memory.
#![allow(dead_code, reason = "no guest needs all of it")]

use crate::{
    rt::{pci, read, write},
    virtio::{Device, QUEUE_SIZE, WRITE, descriptor, structure},
};

/// The addresses of the buffers to receive into, and of the one to send from.
const RECEIVED: u64 = 0x50_0000;
const SENT: u64 = 0x51_0000;
const BUFFER: u64 = 2048;
/// The room for a header: virtio 1.3, "Device Operation", `struct virtio_net_hdr`.
const HEADER: u64 = 12;
/// The length of a header without `num_buffers`, on transitional devices.
const LEGACY_HEADER: u64 = 10;

/// virtio 1.3, "PCI Device Discovery": a network device, and a transitional one.
const CARD: u32 = 0x1041_1af4;
const LEGACY_CARD: u32 = 0x1000_1af4;
/// virtio 1.3, "Network Device", "Feature bits".
const MAC: u32 = 1 << 5;
const STATUS: u32 = 1 << 16;

pub struct Card {
    receive: Device,
    send: Device,
    config: u64,
    header: u64,
    received: u16,
    sent: u16,
}

/// A frame in memory.
#[derive(Clone, Copy)]
pub struct Frame {
    address: u64,
    pub len: u64,
}

impl Card {
    /// Starts the first card on the bus.
    pub fn start() -> Self {
        let id = |slot: &u8| read::<u32>(pci::config(*slot, 0));
        let slot = (0..32_u8).find(|slot| [CARD, LEGACY_CARD].contains(&id(slot))).unwrap();
        let header = if id(&slot) == LEGACY_CARD { LEGACY_HEADER } else { HEADER };
        let [receive, send] = [0, 1].map(|queue| Device::find_queue(slot, queue));
        receive.begin(MAC | STATUS);
        receive.enable(QUEUE_SIZE);
        send.enable(QUEUE_SIZE);
        receive.end();
        let card = Self { receive, send, config: structure(slot, 4), header, received: 0, sent: 0 };
        (1..=QUEUE_SIZE).for_each(|index| card.offer(index));
        card
    }

    /// Offers the buffer with this index, which counts from 1 without wrapping.
    fn offer(&self, index: u16) {
        self.receive.push(descriptor(Self::buffer(index), BUFFER as u32, WRITE, 0), index);
    }

    fn buffer(index: u16) -> u64 {
        RECEIVED + BUFFER * u64::from(index.wrapping_sub(1) % QUEUE_SIZE)
    }

    pub fn mac(&self) -> [u8; 6] {
        [0, 1, 2, 3, 4, 5].map(|byte| read(self.config + byte))
    }

    pub fn link_is_up(&self) -> bool {
        read::<u16>(self.config + 6) & 1 != 0
    }

    /// The next frame, if there is one. It is valid until [`Card::done`].
    pub fn next(&self) -> Option<Frame> {
        let index = self.received.wrapping_add(1);
        let len = || u64::from(self.receive.used_len(index)) - self.header;
        (self.receive.used() != self.received)
            .then(|| Frame { address: Self::buffer(index) + self.header, len: len() })
    }

    /// Releases the frame.
    pub fn done(&mut self) {
        self.received = self.received.wrapping_add(1);
        self.offer(self.received.wrapping_add(QUEUE_SIZE));
    }

    /// The next frame to send.
    pub fn frame(len: u64) -> Frame {
        Frame { address: SENT + HEADER, len }
    }

    /// Sends that frame, and waits until it is sent.
    pub fn send(&mut self, frame: Frame) {
        let start = SENT + HEADER - self.header;
        (start..start + self.header).for_each(|at| write(at, 0_u8));
        self.sent = self.sent.wrapping_add(1);
        self.send.push(descriptor(start, (self.header + frame.len) as u32, 0, 0), self.sent);
        while self.send.used() != self.sent {
            if !self.send.has_used(self.sent) {
                crate::print!("not sent yet\n");
            }
        }
    }
}

impl Frame {
    pub fn get<const N: usize>(self, at: u64) -> [u8; N] {
        read(self.address + at)
    }

    pub fn set<const N: usize>(self, at: u64, bytes: [u8; N]) {
        write(self.address + at, bytes);
    }

    pub fn copy_to(self, other: Self) {
        (0..self.len).for_each(|at| write(other.address + at, read::<u8>(self.address + at)));
    }

    /// Swaps two fields.
    pub fn swap<const N: usize>(self, one: u64, other: u64) {
        let [a, b]: [[u8; N]; 2] = [self.get(one), self.get(other)];
        self.set(one, b);
        self.set(other, a);
    }
}
