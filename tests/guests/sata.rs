//! A minimal driver of an AHCI controller.
#![allow(dead_code, reason = "no guest needs all of it")]

use crate::rt::{
    self,
    pci::{self, Function},
    read, write,
};

/// PCI's class of the controller, with its interface: AHCI.
const CLASS: u32 = 0x01_0601;

/// A port's command list, received frames and command tables, and the offset to the next port's.
const MEMORY: u64 = 0x90_0000;
const MEMORY_LEN: u64 = 0x4000;
const RECEIVED: u64 = 0x400;
const TABLES: u64 = 0x1000;
const TABLE_LEN: u64 = 0x100;

pub const CLB: u64 = 0x00;
pub const FB: u64 = 0x08;
pub const IS: u64 = 0x10;
pub const IE: u64 = 0x14;
pub const CMD: u64 = 0x18;
pub const TFD: u64 = 0x20;
pub const SIG: u64 = 0x24;
pub const SSTS: u64 = 0x28;
pub const SERR: u64 = 0x30;
pub const SACT: u64 = 0x34;
pub const CI: u64 = 0x38;

pub const START: u32 = 1;
pub const RECEIVE: u32 = 1 << 4;
pub const RUNNING: u32 = 1 << 15;
const ERRORS: u32 = 0x7000_0000;

pub struct Controller {
    pub function: Function,
    pub registers: u64,
}

pub struct Port {
    pub registers: u64,
    memory: u64,
}

/// A command to a disk, or a packet command to a CD-ROM drive.
#[derive(Clone, Copy)]
pub struct Command {
    pub code: u8,
    pub features: u16,
    pub lba: u64,
    pub count: u16,
    /// The address and the length of the data.
    pub data: (u64, u32),
    pub packet: Option<[u8; 12]>,
}

impl Controller {
    /// Finds the first controller, and resets it.
    pub fn find() -> Self {
        for device in 1..32 {
            let function = Function::new(device, 0);
            if read::<u32>(pci::config(function, 8)) >> 8 == CLASS {
                // Memory and bus mastering.
                write(pci::config(function, 4), 6_u16);
                let controller = Self { function, registers: pci::bar(function, 5) };
                write(controller.registers + 4, 1_u32 << 31 | 1);
                while read::<u32>(controller.registers + 4) & 1 != 0 {}
                return controller;
            }
        }
        panic!()
    }

    pub fn port(&self, number: u64) -> Port {
        Port { registers: self.registers + 0x100 + 0x80 * number, memory: MEMORY + MEMORY_LEN * number }
    }
}

impl Port {
    pub fn get(&self, register: u64) -> u32 {
        read(self.registers + register)
    }

    pub fn set(&self, register: u64, value: u32) {
        write(self.registers + register, value);
    }

    pub fn start(&self) {
        self.set(CLB, self.memory as u32);
        self.set(FB, (self.memory + RECEIVED) as u32);
        self.set(CMD, RECEIVE);
        self.set(SERR, u32::MAX);
        self.set(IS, u32::MAX);
        self.set(CMD, RECEIVE | START);
    }

    pub fn stop(&self) {
        self.set(CMD, RECEIVE);
        while self.get(CMD) & RUNNING != 0 {}
    }

    pub fn lay_out(&self, slot: u64, command: Command) {
        let Command { code, features, lba, count, data: (address, len), packet } = command;
        let table = self.memory + TABLES + slot * TABLE_LEN;
        let header = self.memory + 32 * slot;
        let regions = if len == 0 { 0 } else { 1_u32 << 16 };
        let atapi = if packet.is_some() { 1_u32 << 5 } else { 0 };
        write(header, [5 | atapi | regions, 0, table as u32, 0]);
        write(table, [0x27_u8, 0x80, code, features as u8]);
        write(table + 4, (lba & 0xff_ffff) as u32 | 0x40 << 24);
        write(table + 8, (lba >> 24) as u32 & 0xff_ffff | u32::from(features >> 8) << 24);
        write(table + 12, u32::from(count));
        write(table + 16, 0_u32);
        for (at, byte) in (table + 0x40..).zip(packet.unwrap_or_default()) {
            write(at, byte);
        }
        write(table + 0x80, [address, u64::from(len.wrapping_sub(1)) << 32]);
    }

    /// Waits for the commands in these slots. Returns `false` if one of them failed, and the port was restarted.
    pub fn wait(&self, slots: u32) -> bool {
        loop {
            if self.get(IS) & ERRORS != 0 {
                self.stop();
                self.start();
                return false;
            }
            if (self.get(CI) | self.get(SACT)) & slots == 0 {
                return true;
            }
            rt::inb(0x80);
        }
    }

    /// Executes a single command.
    pub fn run(&self, command: Command) -> bool {
        self.lay_out(0, command);
        self.set(CI, 1);
        self.wait(1)
    }

    /// Sends a packet.
    pub fn packet(&self, packet: [u8; 12], data: (u64, u32)) -> bool {
        self.run(Command { code: 0xa0, features: 1, lba: 0, count: 0, data, packet: Some(packet) })
    }
}
