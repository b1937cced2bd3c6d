//! Writes to its disk round by round, according to `blk_plan`, and prints each round once a flush has confirmed it.
//!
//! The command line is the number of the first round, and letters:
//! - `j`: the number of the last confirmed round is written to a second disk, which unlike the serial port buffers nothing;
//! - `s`: each `s` on the serial port starts a round, and `q` ends the guest;
//! - `r`: the data of the previous round is read first; with either letter a round starts only after that;
//! - `a`: the disk is on an AHCI controller, and the journal in the slot of the virtio disk;
//! - `t`: there are no flushes and no write cache, so a write is confirmed when it is answered.
//!
//! A line of output has the round, and its failures: the failed writes, the flush, the failed reads of the previous round, and the reads
//! that returned other data.
#![no_std]
#![no_main]

mod blk_plan;
mod rt;
mod sata;
mod virtio;

use core::ops::Range;

use blk_plan::{MOST_BLOCKS, Place, Round, SECTOR, SECTORS_OF_BLOCK};
use sata::{CI, Command, Controller, Port};
use virtio::{Device, INDIRECT, NEXT, WRITE, descriptor};

const CMDLINE: u64 = 0x2_0000;
const LINE_STATUS: u16 = 0x3fd;
const DATA: u16 = 0x3f8;

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
/// The feature of flushes.
const F_FLUSH: u32 = 1 << 9;

const BLOCK: u64 = SECTOR * SECTORS_OF_BLOCK;

/// ATA's command of that name, and its subcommand.
const SET_FEATURES: u8 = 0xef;
const DISABLE_WRITE_CACHE: u16 = 0x82;

extern "C" fn guest_main() -> u32 {
    let (mut round, options) = command_line();
    let [journaled, stepped, reading, through, ahci] =
        b"jsrta".map(|letter| options & 1 << (letter & 31) != 0);
    let mut disk = match ahci {
        true => Disk::start_ahci(through),
        false => Disk::start(1, if through { 0 } else { F_FLUSH }),
    };
    // It is never flushed, as it must survive only the end of a process.
    let mut journal = if journaled { Some(Disk::start(if ahci { 1 } else { 2 }, F_FLUSH)) } else { None };
    print!("ready\n");
    let (mut written, mut failed) = (0, 0);
    loop {
        if stepped && !is_asked_for_more() {
            return 0;
        }
        let (unread, differing) = if reading { disk.read(Round(round - 1)) } else { (0, 0) };
        disk.offer_writes(Round(round), written..Round(round).writes());
        failed |= disk.wait() << written;
        let next = Round(round + 1);
        written = if stepped || reading { 0 } else { next.early() };
        if !through {
            disk.offer(FLUSH, 0, 0);
        }
        disk.offer_writes(next, 0..written);
        let answers = disk.wait();
        let (unflushed, next_failed) = if through { (0, answers) } else { (answers & 1, answers >> 1) };
        if let Some(journal) = &mut journal {
            journal.offer_content(0, 1, round);
            if journal.wait() != 0 {
                print!("the journal failed\n");
                return 1;
            }
        }
        print!(round, " ", failed, " ", unflushed, " ", unread, " ", differing, "\n");
        failed = next_failed;
        round += 1;
    }
}

/// The number at the start of the command line, and a bit for each letter after it.
fn command_line() -> (u64, u32) {
    let (mut number, mut letters) = (0, 0);
    for at in CMDLINE.. {
        match rt::read::<u8>(at) {
            0 => break,
            digit @ b'0'..=b'9' => number = 10 * number + u64::from(digit - b'0'),
            letter => letters |= 1 << (letter & 31),
        }
    }
    (number, letters)
}

/// Waits for a byte on the serial port, and returns whether it asks for another round.
fn is_asked_for_more() -> bool {
    while rt::inb(LINE_STATUS) & 1 == 0 {}
    rt::inb(DATA) == b's'
}

/// A disk, with up to eight requests to it at a time.
struct Disk {
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

    fn start(slot: u8, features: u32) -> Self {
        let device = Device::find(slot);
        device.start_with(features);
        Self::new(Transport::Virtio(device), slot.into())
    }

    fn start_ahci(through: bool) -> Self {
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
    fn offer(&mut self, kind: u32, sector: u64, len: u64) {
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

    fn offer_content(&mut self, sector: u64, sectors: u64, round: u64) {
        let buffer = self.request(self.under_way) + Self::BUFFER;
        for number in 0..sectors {
            for (at, word) in blk_plan::content(round, sector + number) {
                rt::write(buffer + number * SECTOR + at, word);
            }
        }
        self.offer(OUT, sector, sectors * SECTOR);
    }

    fn offer_writes(&mut self, round: Round, writes: Range<u64>) {
        for write in writes {
            let Place { block, blocks } = round.place(write);
            self.offer_content(block * SECTORS_OF_BLOCK, blocks * SECTORS_OF_BLOCK, round.0);
        }
    }

    /// Waits for all requests in flight, and returns the failed ones, the first in bit 0.
    fn wait(&mut self) -> u64 {
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

    /// Reads the data of `round`, and returns the reads that failed, and those that returned other data.
    fn read(&mut self, round: Round) -> (u64, u64) {
        let writes = if round.0 == 0 { 0 } else { round.writes() };
        for write in 0..writes {
            let Place { block, blocks } = round.place(write);
            self.offer(IN, block * SECTORS_OF_BLOCK, blocks * BLOCK);
        }
        let failed = self.wait();
        let differing = (0..writes).filter(|&write| failed & 1 << write == 0 && self.differs(round, write));
        (failed, differing.fold(0, |all, write| all | 1 << write))
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
