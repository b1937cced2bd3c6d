//! A disk with the requests of `blk_plan`: a virtio disk, or one on an AHCI controller.
#![allow(dead_code, reason = "no guest needs all of it")]

use core::ops::Range;

use crate::{
    blk_plan::{self, MOST_BLOCKS, Place, Round, SECTOR, SECTORS_OF_BLOCK},
    rt,
    sata::{CI, Command, Controller, Port},
    virtio::{Device, INDIRECT, NEXT, WRITE, descriptor},
};

const IN: u32 = 0;
const OUT: u32 = 1;
pub const FLUSH: u32 = 4;
/// The feature of flushes.
pub const F_FLUSH: u32 = 1 << 9;

const BLOCK: u64 = SECTOR * SECTORS_OF_BLOCK;

/// ATA's command of that name, and its subcommand.
const SET_FEATURES: u8 = 0xef;
const DISABLE_WRITE_CACHE: u16 = 0x82;

/// A disk, with up to eight requests to it at a time.
pub struct Disk {
    transport: Transport,
    memory: u64,
    /// The available ring's index.
    index: u16,
    under_way: u64,
}

enum Transport {
    Virtio(Device),
    Ahci(Port),
}

impl Disk {
    const HEADER: u64 = 0;
    const STATUS: u64 = 0x10;
    const TABLE: u64 = 0x20;
    /// The size of a request's memory.
    const LEN: u64 = 0x1000 + MOST_BLOCKS * BLOCK;
    const BUFFER: u64 = 0x1000;

    pub fn start(slot: u8, features: u32) -> Self {
        let device = Device::find(slot);
        device.start_with(features);
        Self::new(Transport::Virtio(device), slot.into())
    }

    pub fn start_ahci(through: bool) -> Self {
        let port = Controller::find().port(0);
        port.start();
        let features = DISABLE_WRITE_CACHE;
        if through && !port.run(Command { code: SET_FEATURES, features, lba: 0, count: 0, data: (0, 0), packet: None }) {
            panic!()
        }
        Self::new(Transport::Ahci(port), 0)
    }

    fn new(transport: Transport, place: u64) -> Self {
        Self { transport, memory: 0x50_0000 + place * 8 * Self::LEN, index: 0, under_way: 0 }
    }

    /// The address of a request.
    fn request(&self, number: u64) -> u64 {
        self.memory + number * Self::LEN
    }

    /// Adds a request. The data to write is in its buffer.
    pub fn offer(&mut self, kind: u32, sector: u64, len: u64) {
        let request = self.request(self.under_way);
        let device = match &self.transport {
            Transport::Virtio(device) => device,
            Transport::Ahci(port) => {
                let code = match kind {
                    IN => 0x25,
                    OUT => 0x35,
                    _ => 0xea,
                };
                let (data, count) = ((request + Self::BUFFER, len as u32), (len / SECTOR) as u16);
                port.lay_out(
                    self.under_way,
                    Command { code, features: 0, lba: sector, count, data, packet: None },
                );
                port.set(CI, 1 << self.under_way);
                self.under_way += 1;
                return;
            }
        };
        rt::write(request + Self::HEADER, u64::from(kind));
        rt::write(request + Self::HEADER + 8, sector);
        rt::write(request + Self::STATUS, 0xff_u8);
        let header = descriptor(request + Self::HEADER, 16, NEXT, 1);
        let status = descriptor(request + Self::STATUS, 1, WRITE, 0);
        let table = request + Self::TABLE;
        let table_len = if len == 0 {
            device.write_descriptors(table, &[header, status]);
            32
        } else {
            let flags = if kind == IN { NEXT | WRITE } else { NEXT };
            let data = descriptor(request + Self::BUFFER, len as u32, flags, 2);
            device.write_descriptors(table, &[header, data, status]);
            48
        };
        self.under_way += 1;
        self.index = self.index.wrapping_add(1);
        device.push(descriptor(table, table_len, INDIRECT, 0), self.index);
    }

    pub fn offer_content(&mut self, sector: u64, sectors: u64, round: u64) {
        let buffer = self.request(self.under_way) + Self::BUFFER;
        for number in 0..sectors {
            for (at, word) in blk_plan::content(round, sector + number) {
                rt::write(buffer + number * SECTOR + at, word);
            }
        }
        self.offer(OUT, sector, sectors * SECTOR);
    }

    pub fn offer_writes(&mut self, round: Round, writes: Range<u64>) {
        for write in writes {
            let Place { block, blocks } = round.place(write);
            self.offer_content(block * SECTORS_OF_BLOCK, blocks * SECTORS_OF_BLOCK, round.0);
        }
    }

    /// Waits for all requests in flight, and returns the failed ones, the first in bit 0.
    pub fn wait(&mut self) -> u64 {
        let under_way = 0..core::mem::take(&mut self.under_way);
        let device = match &self.transport {
            Transport::Virtio(device) => device,
            // A failed command makes the ones after it fail too.
            Transport::Ahci(port) if port.wait(u32::MAX) => return 0,
            Transport::Ahci(_) => return (1 << under_way.end) - 1,
        };
        while !device.wait(self.index) {}
        under_way
            .filter(|&number| rt::read::<u8>(self.request(number) + Self::STATUS) != 0)
            .fold(0, |failed, number| failed | 1 << number)
    }

    /// Returns whether no request is in flight.
    pub fn is_idle(&self) -> bool {
        match &self.transport {
            Transport::Virtio(device) => device.used() == self.index,
            Transport::Ahci(_) => self.under_way == 0,
        }
    }

    /// Reads the data of `round`, and returns the reads that failed, and those that returned other data.
    pub fn read(&mut self, round: Round) -> (u64, u64) {
        self.offer_reads(round);
        self.finish_reads(round)
    }

    /// Adds the reads of the data of `round`.
    pub fn offer_reads(&mut self, round: Round) {
        for write in 0..Self::reads(round) {
            let Place { block, blocks } = round.place(write);
            self.offer(IN, block * SECTORS_OF_BLOCK, blocks * BLOCK);
        }
    }

    /// Waits for these reads, the only requests in flight, and returns the same as [`Disk::read`].
    pub fn finish_reads(&mut self, round: Round) -> (u64, u64) {
        let failed = self.wait();
        let differing = (0..Self::reads(round))
            .filter(|&write| failed & 1 << write == 0 && self.differs(round, write));
        (failed, differing.fold(0, |all, write| all | 1 << write))
    }

    /// The number of reads of a round's data. Nothing is written before round 1.
    fn reads(round: Round) -> u64 {
        if round.0 == 0 { 0 } else { round.writes() }
    }

    fn differs(&self, round: Round, write: u64) -> bool {
        let Place { block, blocks } = round.place(write);
        let buffer = self.request(write) + Self::BUFFER;
        (0..blocks * SECTORS_OF_BLOCK).any(|number| {
            let content = blk_plan::content(round.0, block * SECTORS_OF_BLOCK + number);
            content.iter().any(|&(at, word)| rt::read::<u64>(buffer + number * SECTOR + at) != word)
        })
    }
}
