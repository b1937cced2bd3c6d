//! An ATAPI CD-ROM drive: ATA8-ACS, the PACKET feature set, and MMC-6.

mod inquiry;
mod outcome;
mod packet;
mod sense;
mod state;
mod tray;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) use self::state::CdromState;
pub use self::tray::{Medium, Tray, TrayError};
use self::{outcome::Packet, sense::Sense};
use super::{
    fis::{CommandFis, TaskFile},
    identity,
    registers::{Error, Status},
    shared::Protocol,
    step::Step,
};

/// ATA8-ACS, "Command Codes".
mod command {
    pub(super) const NOP: u8 = 0x00;
    pub(super) const DEVICE_RESET: u8 = 0x08;
    pub(super) const READ_SECTORS: u8 = 0x20;
    pub(super) const EXECUTE_DEVICE_DIAGNOSTIC: u8 = 0x90;
    pub(super) const PACKET: u8 = 0xa0;
    pub(super) const IDENTIFY_PACKET_DEVICE: u8 = 0xa1;
    pub(super) const STANDBY_IMMEDIATE: u8 = 0xe0;
    pub(super) const IDLE_IMMEDIATE: u8 = 0xe1;
    pub(super) const CHECK_POWER_MODE: u8 = 0xe5;
    pub(super) const SLEEP: u8 = 0xe6;
    pub(super) const FLUSH_CACHE: u8 = 0xe7;
    pub(super) const IDENTIFY_DEVICE: u8 = 0xec;
    pub(super) const SET_FEATURES: u8 = 0xef;
}

/// "SET FEATURES": set transfer mode.
const SET_TRANSFER_MODE: u16 = 0x03;

/// A CD-ROM drive.
#[derive(Debug)]
pub(super) struct Cdrom {
    pub(super) tray: Arc<Tray>,
    /// The error of the last command, until the driver asks for it.
    sense: Mutex<Option<Sense>>,
}

impl Cdrom {
    pub(super) fn new(tray: Arc<Tray>) -> Self {
        Self { tray, sense: Mutex::default() }
    }

    fn sense(&self) -> MutexGuard<'_, Option<Sense>> {
        self.sense.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets the drive to its state after power-on. The tray stays open or closed, and keeps its medium.
    pub(super) fn reset(&self) {
        self.tray.reset();
        *self.sense() = None;
    }

    pub(super) fn step(&self, fis: &CommandFis, packet: Option<&[u8; 16]>) -> Step {
        match (fis.command, packet) {
            (command::PACKET, Some(packet)) => self.carry_out(fis, packet),
            (command::IDENTIFY_PACKET_DEVICE, _) => {
                Step::Give { data: identify(), protocol: Protocol::PioIn }
            }
            // ATA8-ACS, "Device Signatures for Normal Output": by these, a driver finds the PACKET feature set.
            (command::IDENTIFY_DEVICE | command::READ_SECTORS, _) => {
                Step::Fail(TaskFile { lba: 0xeb_1401, count: 1, ..TaskFile::failed(fis, Error::ABORT) })
            }
            (command::DEVICE_RESET | command::EXECUTE_DEVICE_DIAGNOSTIC, _) => {
                *self.sense() = None;
                let signature = TaskFile { error: 1, lba: 0xeb_1401, count: 1, ..TaskFile::done(fis) };
                Step::Done(TaskFile { status: Status::empty(), ..signature })
            }
            (command::SET_FEATURES, _) if fis.features() == SET_TRANSFER_MODE => {
                Step::Done(TaskFile::done(fis))
            }
            (command::CHECK_POWER_MODE, _) => Step::Done(TaskFile { count: 0xff, ..TaskFile::done(fis) }),
            (
                command::STANDBY_IMMEDIATE | command::IDLE_IMMEDIATE | command::SLEEP | command::FLUSH_CACHE,
                _,
            ) => Step::Done(TaskFile::done(fis)),
            (command::NOP, _) => Step::abort(fis),
            _ => Step::abort(fis),
        }
    }

    /// Carries out a packet's command.
    fn carry_out(&self, fis: &CommandFis, packet: &[u8; 16]) -> Step {
        match self.obey(packet) {
            Ok(Packet::Done) => Step::Done(finished(fis)),
            Ok(Packet::Give(data)) => Step::Give { data, protocol: Protocol::Plain },
            Ok(Packet::Read { disk, sector, len }) => Step::Medium { disk, sector, len },
            Err(sense) => self.fail(fis, sense),
        }
    }

    /// The registers after a packet whose medium can't be read.
    pub(super) fn unreadable(&self, fis: &CommandFis) -> TaskFile {
        *self.sense() = Some(Sense::UNREADABLE);
        checked(fis, Sense::UNREADABLE)
    }

    fn fail(&self, fis: &CommandFis, sense: Sense) -> Step {
        *self.sense() = Some(sense);
        Step::Fail(checked(fis, sense))
    }
}

/// The registers after a packet that is done. ATA8-ACS, "PACKET": the count says that a status is sent.
pub(super) fn finished(fis: &CommandFis) -> TaskFile {
    TaskFile { count: 3, ..TaskFile::done(fis) }
}

/// The registers after a packet that ends with sense data: the error register has the sense key.
fn checked(fis: &CommandFis, sense: Sense) -> TaskFile {
    TaskFile { count: 3, error: sense.key << 4, ..TaskFile::failed(fis, Error::ABORT) }
}

/// ATA8-ACS, "IDENTIFY PACKET DEVICE".
fn identify() -> Vec<u8> {
    let mut words = identity::Words::new();
    // A removable CD-ROM drive that takes commands of 12 bytes without delay.
    words.set(0, 0x85c0);
    identity::write(&mut words, "NVMM DVD-ROM", "");
    // DMA, LBA, IORDY.
    words.set(49, 0x0f00);
    words.set(50, 0x4000);
    words.set(53, 0x0006);
    identity::write_modes(&mut words, 5);
    words.set(76, identity::SATA_SPEEDS);
    // ATA/ATAPI-4 to ACS-2.
    words.set(80, 0x03f0);
    // PACKET, DEVICE RESET.
    words.set(82, 1 << 4 | 1 << 9);
    words.set(83, 0x4000);
    words.set(84, 0x4000);
    words.set(85, 1 << 4 | 1 << 9);
    words.set(87, 0x4000);
    words.set(222, identity::SATA_TRANSPORT);
    words.into_bytes()
}

#[cfg(test)]
#[path = "cdrom_test.rs"]
mod tests;
