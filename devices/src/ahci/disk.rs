//! An ATA disk: ATA8-ACS and ACS-2, the general feature set, 48-bit addresses, native command queuing and TRIM.

mod identify;
mod log;
mod queued_error;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::queued_error::QueuedError;
pub(super) use self::state::DiskState;
use super::{
    fis::{CommandFis, TaskFile},
    registers::{Error, SLOTS},
    shared::Protocol,
    step::Step,
};
use crate::{
    block::{Lasting, Operation, Segment, WriteCache},
    disk::{Disk, SECTOR_SIZE},
};

/// "Command Codes".
mod command {
    pub(super) const NOP: u8 = 0x00;
    pub(super) const DATA_SET_MANAGEMENT: u8 = 0x06;
    pub(super) const RECALIBRATE: u8 = 0x10;
    pub(super) const READ_SECTORS: u8 = 0x20;
    pub(super) const READ_SECTORS_ONCE: u8 = 0x21;
    pub(super) const READ_SECTORS_EXT: u8 = 0x24;
    pub(super) const READ_DMA_EXT: u8 = 0x25;
    pub(super) const READ_NATIVE_MAX_ADDRESS_EXT: u8 = 0x27;
    pub(super) const READ_MULTIPLE_EXT: u8 = 0x29;
    pub(super) const READ_LOG_EXT: u8 = 0x2f;
    pub(super) const WRITE_SECTORS: u8 = 0x30;
    pub(super) const WRITE_SECTORS_ONCE: u8 = 0x31;
    pub(super) const WRITE_SECTORS_EXT: u8 = 0x34;
    pub(super) const WRITE_DMA_EXT: u8 = 0x35;
    pub(super) const WRITE_MULTIPLE_EXT: u8 = 0x39;
    pub(super) const WRITE_DMA_FUA_EXT: u8 = 0x3d;
    pub(super) const READ_VERIFY_SECTORS: u8 = 0x40;
    pub(super) const READ_VERIFY_SECTORS_ONCE: u8 = 0x41;
    pub(super) const READ_VERIFY_SECTORS_EXT: u8 = 0x42;
    pub(super) const READ_LOG_DMA_EXT: u8 = 0x47;
    pub(super) const READ_FPDMA_QUEUED: u8 = 0x60;
    pub(super) const WRITE_FPDMA_QUEUED: u8 = 0x61;
    pub(super) const SEEK: u8 = 0x70;
    pub(super) const EXECUTE_DEVICE_DIAGNOSTIC: u8 = 0x90;
    pub(super) const INITIALIZE_DEVICE_PARAMETERS: u8 = 0x91;
    pub(super) const READ_MULTIPLE: u8 = 0xc4;
    pub(super) const WRITE_MULTIPLE: u8 = 0xc5;
    pub(super) const SET_MULTIPLE_MODE: u8 = 0xc6;
    pub(super) const READ_DMA: u8 = 0xc8;
    pub(super) const READ_DMA_ONCE: u8 = 0xc9;
    pub(super) const WRITE_DMA: u8 = 0xca;
    pub(super) const WRITE_DMA_ONCE: u8 = 0xcb;
    pub(super) const WRITE_MULTIPLE_FUA_EXT: u8 = 0xce;
    pub(super) const STANDBY_IMMEDIATE: u8 = 0xe0;
    pub(super) const IDLE_IMMEDIATE: u8 = 0xe1;
    pub(super) const STANDBY: u8 = 0xe2;
    pub(super) const IDLE: u8 = 0xe3;
    pub(super) const CHECK_POWER_MODE: u8 = 0xe5;
    pub(super) const SLEEP: u8 = 0xe6;
    pub(super) const FLUSH_CACHE: u8 = 0xe7;
    pub(super) const FLUSH_CACHE_EXT: u8 = 0xea;
    pub(super) const IDENTIFY_DEVICE: u8 = 0xec;
    pub(super) const SET_FEATURES: u8 = 0xef;
    pub(super) const READ_NATIVE_MAX_ADDRESS: u8 = 0xf8;
}

/// "SET FEATURES": the features that can be set.
mod feature {
    pub(super) const ENABLE_WRITE_CACHE: u8 = 0x02;
    pub(super) const SET_TRANSFER_MODE: u8 = 0x03;
    pub(super) const DISABLE_LOOK_AHEAD: u8 = 0x55;
    pub(super) const DISABLE_REVERTING: u8 = 0x66;
    pub(super) const DISABLE_WRITE_CACHE: u8 = 0x82;
    pub(super) const ENABLE_LOOK_AHEAD: u8 = 0xaa;
    pub(super) const ENABLE_REVERTING: u8 = 0xcc;
}

/// "CHECK POWER MODE": active or idle, and standby.
const POWER_IDLE: u8 = 0xff;
const POWER_STANDBY: u8 = 0x00;

/// The geometry for drivers without LBA, and the most cylinders in it.
const HEADS: u64 = 16;
const SECTORS_PER_TRACK: u64 = 63;

/// The most sectors that a driver may move in one block by PIO.
const MAX_MULTIPLE: u8 = 16;

/// The most blocks of 512 bytes with ranges to discard, and the number of ranges in each.
const TRIM_BLOCKS: u16 = 8;

/// An ATA disk.
#[derive(Debug)]
pub(super) struct AtaDisk {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) lasting: Lasting,
    pub(super) cache: Arc<WriteCache>,
    /// The size in logical sectors. It never changes, as drivers don't expect that.
    sectors: u64,
    /// Bytes of a logical sector, and the number of 512-byte units in it.
    sector_len: u32,
    settings: Mutex<Settings>,
}

/// Settings of the driver, and an error that it may ask for.
#[derive(Clone, Debug)]
struct Settings {
    /// Sectors in one block of a PIO transfer; 0 if the driver has not set it.
    multiple: u8,
    look_ahead: bool,
    /// The mode of Ultra DMA that the driver chose.
    ultra_dma: u8,
    standby: bool,
    /// The settings survive a reset by the control register.
    keeps_settings: bool,
    queued_error: Option<QueuedError>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            multiple: 0,
            look_ahead: true,
            ultra_dma: 6,
            standby: false,
            keeps_settings: false,
            queued_error: None,
        }
    }
}

/// The forms of an address: 28 bits, 48 bits, and 48 bits in a queued command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Address {
    Short,
    Extended,
    Queued,
}

impl AtaDisk {
    pub(super) fn new(disk: Arc<dyn Disk>, lasting: &Lasting) -> Self {
        let cache = Arc::new(WriteCache::new(lasting.options.cache));
        let sector_len = disk.block_size().logical.max(512);
        let sectors = disk.size() / u64::from(sector_len);
        let settings = Mutex::default();
        Self { disk, lasting: lasting.clone(), cache, sectors, sector_len, settings }
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reset(&self, hard: bool) {
        let mut settings = self.settings();
        if hard || !settings.keeps_settings {
            self.cache.reset();
            *settings = Settings::default();
        } else {
            settings.queued_error = None;
        }
    }

    pub(super) fn step(&self, fis: &CommandFis) -> Step {
        let wakes = !matches!(
            fis.command,
            command::CHECK_POWER_MODE
                | command::SLEEP
                | command::STANDBY
                | command::STANDBY_IMMEDIATE
                | command::IDENTIFY_DEVICE
                | command::SET_FEATURES
        );
        if wakes {
            self.settings().standby = false;
        }
        match fis.command {
            command::READ_FPDMA_QUEUED => self.transfer(fis, Address::Queued, false, Protocol::Queued),
            command::WRITE_FPDMA_QUEUED => self.transfer(fis, Address::Queued, true, Protocol::Queued),
            command::READ_DMA_EXT => self.transfer(fis, Address::Extended, false, Protocol::Plain),
            command::WRITE_DMA_EXT | command::WRITE_DMA_FUA_EXT => {
                self.transfer(fis, Address::Extended, true, Protocol::Plain)
            }
            command::READ_DMA | command::READ_DMA_ONCE => {
                self.transfer(fis, Address::Short, false, Protocol::Plain)
            }
            command::WRITE_DMA | command::WRITE_DMA_ONCE => {
                self.transfer(fis, Address::Short, true, Protocol::Plain)
            }
            command::READ_SECTORS | command::READ_SECTORS_ONCE => {
                self.transfer(fis, Address::Short, false, Protocol::PioIn)
            }
            command::READ_SECTORS_EXT => self.transfer(fis, Address::Extended, false, Protocol::PioIn),
            command::WRITE_SECTORS | command::WRITE_SECTORS_ONCE => {
                self.transfer(fis, Address::Short, true, Protocol::Plain)
            }
            command::WRITE_SECTORS_EXT => self.transfer(fis, Address::Extended, true, Protocol::Plain),
            command::READ_MULTIPLE
            | command::READ_MULTIPLE_EXT
            | command::WRITE_MULTIPLE
            | command::WRITE_MULTIPLE_EXT
            | command::WRITE_MULTIPLE_FUA_EXT => self.multiple(fis),
            command::READ_VERIFY_SECTORS | command::READ_VERIFY_SECTORS_ONCE => {
                self.verify(fis, Address::Short)
            }
            command::READ_VERIFY_SECTORS_EXT => self.verify(fis, Address::Extended),
            command::FLUSH_CACHE | command::FLUSH_CACHE_EXT => {
                Step::Transfer { operation: Operation::Flush, len: 0, protocol: Protocol::Plain }
            }
            command::DATA_SET_MANAGEMENT => self.trim(fis),
            command::IDENTIFY_DEVICE => Step::Give { data: self.identify(), protocol: Protocol::PioIn },
            command::READ_LOG_EXT => self.read_log(fis, Protocol::PioIn),
            command::READ_LOG_DMA_EXT => self.read_log(fis, Protocol::Plain),
            command::SET_FEATURES => self.set_features(fis),
            command::SET_MULTIPLE_MODE => self.set_multiple(fis),
            command::READ_NATIVE_MAX_ADDRESS => self.native_max(fis, 1 << 28),
            command::READ_NATIVE_MAX_ADDRESS_EXT => self.native_max(fis, 1 << 48),
            command::CHECK_POWER_MODE => {
                let mode = if self.settings().standby { POWER_STANDBY } else { POWER_IDLE };
                Step::Done(TaskFile { count: mode.into(), ..TaskFile::done(fis) })
            }
            command::STANDBY | command::STANDBY_IMMEDIATE | command::SLEEP => {
                self.settings().standby = true;
                // "The device shall enter standby once its cache is flushed."
                Step::Transfer { operation: Operation::Flush, len: 0, protocol: Protocol::Plain }
            }
            command::IDLE
            | command::IDLE_IMMEDIATE
            | command::RECALIBRATE
            | command::SEEK
            | command::INITIALIZE_DEVICE_PARAMETERS => Step::Done(TaskFile::done(fis)),
            command::EXECUTE_DEVICE_DIAGNOSTIC => {
                Step::Done(TaskFile { error: 1, lba: 1, count: 1, ..TaskFile::done(fis) })
            }
            // NOP is answered like unknown commands.
            command::NOP => Step::abort(fis),
            _ => Step::abort(fis),
        }
    }

    /// A read or a write.
    fn transfer(&self, fis: &CommandFis, address: Address, writes: bool, protocol: Protocol) -> Step {
        let Some((lba, count)) = self.range(fis, address) else {
            return Step::Fail(TaskFile::failed(fis, Error::ID_NOT_FOUND | Error::ABORT));
        };
        // The product can't overflow: the sectors lie on the disk, whose size in bytes fits into 64 bits.
        let sector = lba * u64::from(self.sector_len) / SECTOR_SIZE;
        let Ok(len) = usize::try_from(u64::from(count) * u64::from(self.sector_len)) else {
            return Step::abort(fis);
        };
        let stable = match address {
            Address::Queued => fis.device & 1 << 7 != 0,
            _ => matches!(fis.command, command::WRITE_DMA_FUA_EXT | command::WRITE_MULTIPLE_FUA_EXT),
        };
        let operation = if writes { Operation::Write { sector, stable } } else { Operation::Read { sector } };
        Step::Transfer { operation, len, protocol }
    }

    /// A read or a write in blocks, whose size the driver must have set.
    fn multiple(&self, fis: &CommandFis) -> Step {
        if self.settings().multiple == 0 {
            return Step::abort(fis);
        }
        let (address, writes) = match fis.command {
            command::READ_MULTIPLE => (Address::Short, false),
            command::READ_MULTIPLE_EXT => (Address::Extended, false),
            command::WRITE_MULTIPLE => (Address::Short, true),
            _ => (Address::Extended, true),
        };
        let protocol = if writes { Protocol::Plain } else { Protocol::PioIn };
        self.transfer(fis, address, writes, protocol)
    }

    /// A read without data, which only checks that the sectors exist.
    fn verify(&self, fis: &CommandFis, address: Address) -> Step {
        match self.range(fis, address) {
            Some(_) => Step::Done(TaskFile::done(fis)),
            None => Step::Fail(TaskFile::failed(fis, Error::ID_NOT_FOUND | Error::ABORT)),
        }
    }

    /// The first sector of a command and the number of sectors, if all of them are on the disk.
    fn range(&self, fis: &CommandFis, address: Address) -> Option<(u64, u32)> {
        let (lba, count) = match address {
            Address::Short => {
                let [count, _] = fis.count().to_le_bytes();
                (self.short_address(fis)?, if count == 0 { 256 } else { u32::from(count) })
            }
            Address::Extended => (fis.lba(), whole(fis.count())),
            Address::Queued => (fis.lba(), whole(fis.features())),
        };
        let end = lba.checked_add(count.into())?;
        (end <= self.sectors).then_some((lba, count))
    }

    /// A sector's number from 28 bits, or from cylinder, head and sector.
    fn short_address(&self, fis: &CommandFis) -> Option<u64> {
        let low = fis.lba() & 0xff_ffff;
        let high = u64::from(fis.device & 0xf);
        if fis.device & 1 << 6 != 0 {
            return Some(high << 24 | low);
        }
        let (cylinder, sector) = (low >> 8, low & 0xff);
        let sector = sector.checked_sub(1).filter(|sector| *sector < SECTORS_PER_TRACK)?;
        (high < HEADS).then(|| (cylinder * HEADS + high) * SECTORS_PER_TRACK + sector)
    }

    /// "DATA SET MANAGEMENT": of its operations, only TRIM exists.
    fn trim(&self, fis: &CommandFis) -> Step {
        let blocks = fis.count();
        if fis.features() & 1 == 0 || !self.trims() || !(1..=TRIM_BLOCKS).contains(&blocks) {
            return Step::abort(fis);
        }
        Step::Trim { len: usize::from(blocks) * 512 }
    }

    /// Returns true if the driver may discard data.
    fn trims(&self) -> bool {
        self.lasting.options.discard && !self.disk.is_read_only()
    }

    /// The parts of the disk in the ranges in `data`; none if one of them is not on the disk.
    pub(super) fn trimmed(&self, data: &[u8]) -> Option<Vec<Segment>> {
        let (entries, _) = data.as_chunks::<8>();
        let entries = entries.iter().map(|entry| u64::from_le_bytes(*entry));
        let ranges = entries.map(|entry| (entry & 0xffff_ffff_ffff, entry >> 48)).filter(|range| range.1 > 0);
        let segment = |(lba, count): (u64, u64)| {
            let end = lba.checked_add(count).filter(|end| *end <= self.sectors)?;
            let bytes = u64::from(self.sector_len);
            Some(Segment { range: lba * bytes..end * bytes, unmap: true })
        };
        ranges.map(segment).collect()
    }

    fn set_features(&self, fis: &CommandFis) -> Step {
        let [feature, _] = fis.features().to_le_bytes();
        let mut settings = self.settings();
        match feature {
            feature::ENABLE_WRITE_CACHE => self.cache.set_writeback(true),
            feature::DISABLE_WRITE_CACHE => {
                self.cache.set_writeback(false);
                // Data in the cache is written before it is switched off.
                return Step::Transfer { operation: Operation::Flush, len: 0, protocol: Protocol::Plain };
            }
            feature::ENABLE_LOOK_AHEAD => settings.look_ahead = true,
            feature::DISABLE_LOOK_AHEAD => settings.look_ahead = false,
            feature::ENABLE_REVERTING => settings.keeps_settings = false,
            feature::DISABLE_REVERTING => settings.keeps_settings = true,
            feature::SET_TRANSFER_MODE => match (fis.count_low >> 3, fis.count_low & 7) {
                // PIO's default and flow control, multiword DMA, Ultra DMA.
                (0, 0 | 1) | (1, 0..=4) | (4, 0..=2) => {}
                (8, mode @ 0..=6) => settings.ultra_dma = mode,
                _ => return Step::abort(fis),
            },
            _ => return Step::abort(fis),
        }
        Step::Done(TaskFile::done(fis))
    }

    fn set_multiple(&self, fis: &CommandFis) -> Step {
        let count = fis.count_low;
        if count > MAX_MULTIPLE || count != 0 && !count.is_power_of_two() {
            return Step::abort(fis);
        }
        self.settings().multiple = count;
        Step::Done(TaskFile::done(fis))
    }

    fn native_max(&self, fis: &CommandFis, limit: u64) -> Step {
        let last = self.sectors.min(limit).saturating_sub(1);
        let high = u8::try_from(last >> 24 & 0xf).unwrap_or(0);
        let device = if limit == 1 << 28 { fis.device & 0xf0 | high } else { fis.device };
        let lba = if limit == 1 << 28 { last & 0xff_ffff } else { last };
        Step::Done(TaskFile { lba, device, ..TaskFile::done(fis) })
    }
}

/// A 16-bit count, in which 0 stands for 65536.
fn whole(count: u16) -> u32 {
    if count == 0 { 1 << 16 } else { count.into() }
}

/// The tag of a queued command.
pub(super) fn tag(fis: &CommandFis) -> u8 {
    (fis.count_low >> 3) % SLOTS
}
