//! A driver of a SATA disk that costs next to nothing: it issues queued commands, half of its slots at a time.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use arch::memory::GuestRam;
use devices::{
    ahci::{Ahci, Drive},
    block::{BlockOptions, Engine},
    disk::Disk,
    irq::{Line, Msi, MsiMessage},
    pci::{PciAddress, PciFunction},
};
use rustix::event::{EventfdFlags, eventfd};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::{
    Load, Places,
    bench::figures::{ROUND, Run, Watch},
};

/// The number of a port's command slots.
pub(super) const SLOTS: u16 = 32;

/// Registers of the HBA and of its first port: AHCI 1.3.1, "HBA Memory Registers".
const BAR: u8 = 5;
const GHC: u64 = 0x04;
const IS: u64 = 0x08;
const PORT: u64 = 0x100;
const PORT_CLB: u64 = PORT;
const PORT_FB: u64 = PORT + 0x08;
const PORT_IS: u64 = PORT + 0x10;
const PORT_IE: u64 = PORT + 0x14;
const PORT_CMD: u64 = PORT + 0x18;
const PORT_SACT: u64 = PORT + 0x34;
const PORT_CI: u64 = PORT + 0x38;

/// GHC: interrupt enable. PxCMD: start, and receive FISes. PxIE: a Set Device Bits FIS was received.
const INTERRUPT_ENABLE: u32 = 1 << 1;
const START: u32 = 1;
const RECEIVE: u32 = 1 << 4;
const SET_DEVICE_BITS: u32 = 1 << 3;

/// READ FPDMA QUEUED and WRITE FPDMA QUEUED.
const READ: u8 = 0x60;
const WRITE: u8 = 0x61;

/// Addresses: the command list, received FISes, command tables, data.
const LIST: u32 = 0x1000;
const RECEIVED: u32 = 0x2000;
const TABLES: u64 = 0x1_0000;
const TABLE_LEN: u64 = 0x100;
const BUFFERS: u64 = 0x10_0000;

/// Runs a round.
pub(super) fn run(disk: &Arc<dyn Disk>, engine: Engine, load: &Load) -> Run {
    let mut driver = Driver::new(disk, engine, load);
    let mut watch = Watch::default();
    watch.time(|| driver.run());
    watch.stop()
}

struct Driver {
    ahci: Ahci,
    memory: GuestRam,
    line: Arc<Event>,
    load: Load,
    places: Places,
    /// The slots of commands at the device.
    issued: u32,
}

impl Driver {
    fn new(disk: &Arc<dyn Disk>, engine: Engine, load: &Load) -> Self {
        let len = usize::try_from(BUFFERS + u64::from(load.depth) * u64::from(load.len)).unwrap();
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), len)]).unwrap();
        // Touch all memory first, so that it causes no page faults later.
        for page in (0..len as u64).step_by(4096) {
            memory.write_obj(0_u8, GuestAddress(page)).unwrap();
        }
        let line = Arc::new(Event {
            high: AtomicBool::default(),
            event: eventfd(0, EventfdFlags::empty()).unwrap(),
        });
        let options = BlockOptions { engine, ..BlockOptions::default() };
        let drive = Drive::disk(Arc::clone(disk), &options.into());
        let address = PciAddress::new(1, 0).unwrap();
        let ahci = Ahci::new(address, vec![drive], &memory, line.clone(), Arc::new(NoMsi)).unwrap();
        let mut driver = Self { ahci, memory, line, load: *load, places: Places::new(load, 1), issued: 0 };
        for (register, value) in [
            (PORT_CLB, LIST),
            (PORT_FB, RECEIVED),
            (PORT_CMD, RECEIVE | START),
            (PORT_IE, SET_DEVICE_BITS),
            (GHC, INTERRUPT_ENABLE),
        ] {
            driver.set(register, value);
        }
        (0..load.depth).for_each(|slot| driver.describe(u64::from(slot)));
        driver
    }

    /// Lays out the command of `slot` without its sector: a command header, a command FIS, and one data region.
    fn describe(&self, slot: u64) {
        let table = TABLES + slot * TABLE_LEN;
        let write = u32::from(self.load.write);
        let header = [5 | write << 6 | 1 << 16, 0, u32::try_from(table).unwrap(), 0];
        self.write(u64::from(LIST) + slot * 32, &header);
        let buffer = BUFFERS + slot * u64::from(self.load.len);
        let address = [u32::try_from(buffer & 0xffff_ffff).unwrap(), u32::try_from(buffer >> 32).unwrap()];
        self.write(table + 0x80, &[address[0], address[1], 0, self.load.len - 1]);
    }

    /// Keeps at least half of the commands at the disk for a round, and then finishes them.
    fn run(&mut self) -> u64 {
        let (half, start) = (u32::from(self.load.depth / 2).max(1), Instant::now());
        if self.load.depth > 1 {
            self.offer(half);
        }
        let mut total = 0;
        loop {
            if start.elapsed() < ROUND {
                self.offer(half);
            } else if self.issued == 0 {
                return total;
            }
            total += u64::from(self.finish(half));
        }
    }

    /// Issues `count` commands.
    fn offer(&mut self, count: u32) {
        let (mut free, mut bits) = (!self.issued, 0);
        for _ in 0..count {
            let slot = free.trailing_zeros();
            free &= free - 1;
            bits |= 1 << slot;
            let [a, b, c, d, e, f, _, _] = (self.places.next() / 512).to_le_bytes();
            let [low, high, ..] = (self.load.len / 512).to_le_bytes();
            let tag = u8::try_from(slot << 3).unwrap();
            let command = if self.load.write { WRITE } else { READ };
            let fis = [0x27, 0x80, command, low, a, b, c, 0x40, d, e, f, high, tag, 0, 0, 0];
            self.memory.write_slice(&fis, GuestAddress(TABLES + u64::from(slot) * TABLE_LEN)).unwrap();
        }
        self.issued |= bits;
        self.set(PORT_SACT, bits);
        self.set(PORT_CI, bits);
    }

    /// Waits for `count` commands. Returns the number of completed ones.
    fn finish(&mut self, count: u32) -> u32 {
        let mut done = 0;
        loop {
            self.line.sleep();
            self.set(PORT_IS, SET_DEVICE_BITS);
            self.set(IS, 1);
            let active = self.get(PORT_SACT);
            done += (self.issued & !active).count_ones();
            self.issued &= active;
            if done >= count || self.issued == 0 {
                return done;
            }
        }
    }

    fn get(&mut self, register: u64) -> u32 {
        let mut data = [0; 4];
        self.ahci.bar_read(BAR, register, &mut data);
        u32::from_le_bytes(data)
    }

    fn set(&mut self, register: u64, value: u32) {
        let _effect = self.ahci.bar_write(BAR, register, &value.to_le_bytes());
    }

    fn write(&self, address: u64, words: &[u32; 4]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.memory.write_slice(&bytes, GuestAddress(address)).unwrap();
    }
}

/// An interrupt line whose rise a thread can wait for.
#[derive(Debug)]
struct Event {
    high: AtomicBool,
    event: OwnedFd,
}

impl Event {
    /// Sleeps until the line is high.
    fn sleep(&self) {
        while !self.high.load(Ordering::Acquire) {
            rustix::io::read(&self.event, &mut [0; 8]).unwrap();
        }
    }
}

impl Line for Event {
    fn set(&self, high: bool) {
        if !self.high.swap(high, Ordering::AcqRel) && high {
            rustix::io::write(&self.event, &1_u64.to_ne_bytes()).unwrap();
        }
    }
}

/// MSI, which this driver leaves off.
#[derive(Debug)]
struct NoMsi;

impl Msi for NoMsi {
    fn set_message(&self, _message: MsiMessage) {}

    fn signal(&self) {}

    fn attach(&self, _event: &EventFd) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn detach(&self, _event: &EventFd) {}
}
