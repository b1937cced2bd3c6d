//! A driver of the controller, for tests.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use arch::memory::GuestRam;
use vm_memory::{Bytes, GuestAddress};

use super::{Ahci, Drive, registers::port};
use crate::{
    pci::{PciAddress, PciFunction},
    testing::{FakeLine, FakeMsi},
};

/// The size of memory in bytes. There is nothing after it.
pub(super) const MEMORY: u64 = 1 << 20;
/// The address of a command's data.
pub(super) const DATA: u64 = 0x8_0000;
/// The bytes that each port has for its command list, its frames and its tables.
const PORT_MEMORY: u64 = 0xa000;
const LIST: u64 = 0x1000;
const RECEIVED: u64 = 0x1400;
const TABLES: u64 = 0x2000;
const TABLE_LEN: u64 = 0x400;

pub(super) const START: u32 = 1;
pub(super) const RECEIVE: u32 = 1 << 4;
pub(super) const RUNNING: u32 = 1 << 15;

/// A timeout long enough for a thread to be scheduled on any machine.
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Driver {
    pub(super) ahci: Ahci,
    pub(super) memory: GuestRam,
    pub(super) line: Arc<FakeLine>,
    pub(super) msi: Arc<FakeMsi>,
}

/// A command to be issued.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    pub(super) command: u8,
    pub(super) features: u16,
    pub(super) lba: u64,
    pub(super) device: u8,
    pub(super) count: u16,
    pub(super) packet: Option<[u8; 16]>,
    /// Regions of data: addresses and lengths in bytes.
    pub(super) regions: Vec<(u64, u32)>,
}

impl Driver {
    /// A controller with `drives`, whose ports are started.
    pub(super) fn new(drives: Vec<Drive>) -> Self {
        let count = drives.len();
        let mut driver = Self::unstarted(drives);
        (0..count).for_each(|port| driver.start(port));
        driver
    }

    pub(super) fn unstarted(drives: Vec<Drive>) -> Self {
        let memory = GuestRam::from_ranges(&[(GuestAddress(0), usize::try_from(MEMORY).unwrap())]).unwrap();
        let (line, msi) = (Arc::new(FakeLine::default()), Arc::new(FakeMsi::default()));
        let address = PciAddress::new(3, 0).unwrap();
        let ahci = Ahci::new(address, drives, &memory, line.clone(), msi.clone()).unwrap();
        Self { ahci, memory, line, msi }
    }

    pub(super) fn start(&mut self, number: usize) {
        let base = base(number);
        self.set_port(number, port::CLB, u32::try_from(base + LIST).unwrap());
        self.set_port(number, port::FB, u32::try_from(base + RECEIVED).unwrap());
        self.set_port(number, port::CMD, RECEIVE);
        self.set_port(number, port::SERR, u32::MAX);
        self.set_port(number, port::IS, u32::MAX);
        self.set_port(number, port::CMD, RECEIVE | START);
    }

    /// Stops a port, and waits until it has.
    pub(super) fn stop(&mut self, number: usize) {
        self.set_port(number, port::CMD, RECEIVE);
        self.wait(|driver| driver.port(number, port::CMD) & RUNNING == 0);
    }

    pub(super) fn get(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.ahci.bar_read(5, offset, &mut data);
        u32::from_le_bytes(data)
    }

    pub(super) fn set(&mut self, offset: u64, value: u32) {
        let _effect = self.ahci.bar_write(5, offset, &value.to_le_bytes());
    }

    pub(super) fn port(&mut self, number: usize, register: u64) -> u32 {
        self.get(0x100 + 0x80 * number as u64 + register)
    }

    pub(super) fn set_port(&mut self, number: usize, register: u64, value: u32) {
        self.set(0x100 + 0x80 * number as u64 + register, value);
    }

    /// Writes a command into `slot`.
    pub(super) fn lay_out(&self, number: usize, slot: u8, order: &Order) {
        let Order { command, features, lba, device, count, packet, regions } = order;
        let (a, f, c) = (lba.to_le_bytes(), features.to_le_bytes(), count.to_le_bytes());
        let fis =
            [0x27, 0x80, *command, f[0], a[0], a[1], a[2], *device, a[3], a[4], a[5], f[1], c[0], c[1], 0, 0];
        self.lay_out_fis(number, slot, &fis, packet.as_ref(), regions);
    }

    pub(super) fn lay_out_fis(
        &self,
        number: usize,
        slot: u8,
        fis: &[u8],
        packet: Option<&[u8; 16]>,
        regions: &[(u64, u32)],
    ) {
        let table = base(number) + TABLES + u64::from(slot) * TABLE_LEN;
        let entries = u32::try_from(regions.len()).unwrap();
        let first = 5 | u32::from(packet.is_some()) << 5 | entries << 16;
        let header = base(number) + LIST + u64::from(slot) * 32;
        let header_bytes = [&first.to_le_bytes()[..], &[0xee; 4], &table.to_le_bytes(), &[0; 16]].concat();
        self.write(header, &header_bytes);
        self.write(table, &[0; 0x80]);
        self.write(table, fis);
        self.write(table + 0x40, packet.unwrap_or(&[0; 16]));
        for (at, &(address, len)) in (table + 0x80..).step_by(16).zip(regions) {
            let entry = [&address.to_le_bytes()[..], &[0; 4], &(len - 1).to_le_bytes()].concat();
            self.write(at, &entry);
        }
    }

    /// Issues `order` in slot 0, and waits for its end. Returns the status and error registers.
    pub(super) fn run(&mut self, number: usize, order: &Order) -> (u8, u8) {
        self.lay_out(number, 0, order);
        self.set_port(number, port::CI, 1);
        self.wait(|driver| {
            driver.port(number, port::CI) & 1 == 0 || driver.port(number, port::IS) & 0x7000_0000 != 0
        });
        let [status, error, ..] = self.port(number, port::TFD).to_le_bytes();
        if status & 1 != 0 {
            self.stop(number);
            self.set_port(number, port::IS, u32::MAX);
            self.set_port(number, port::CMD, RECEIVE | START);
        }
        (status, error)
    }

    /// Waits until `condition` holds.
    pub(super) fn wait(&mut self, mut condition: impl FnMut(&mut Self) -> bool) {
        let asked = Instant::now();
        while !condition(self) {
            assert!(asked.elapsed() < LONG, "it did not come");
            thread::yield_now();
        }
    }

    /// The number of bytes that the command in `slot` has moved.
    pub(super) fn moved(&self, number: usize, slot: u8) -> u32 {
        let bytes = self.read(base(number) + LIST + u64::from(slot) * 32 + 4, 4);
        u32::from_le_bytes(bytes.try_into().unwrap())
    }

    /// A frame that was received.
    pub(super) fn received(&self, number: usize, offset: u64, len: usize) -> Vec<u8> {
        self.read(base(number) + RECEIVED + offset, len)
    }

    pub(super) fn read(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    pub(super) fn write(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }
}

fn base(number: usize) -> u64 {
    PORT_MEMORY * number as u64
}
