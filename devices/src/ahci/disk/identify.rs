//! ATA8-ACS, "IDENTIFY DEVICE".

use super::{AtaDisk, HEADS, MAX_MULTIPLE, SECTORS_PER_TRACK, TRIM_BLOCKS};
use crate::ahci::{
    identity::{self, Words},
    registers::SLOTS,
};

impl AtaDisk {
    pub(super) fn identify(&self) -> Vec<u8> {
        let settings = self.settings().clone();
        let sectors = self.sectors;
        let cylinders = u16::try_from(sectors / (HEADS * SECTORS_PER_TRACK)).unwrap_or(u16::MAX).min(16383);
        let (heads, per_track) = (16, 63);
        let short = sectors.min(0x0fff_ffff);
        let block = self.disk.block_size();
        let mut words = Words::new();
        // A fixed disk.
        words.set(0, 0x0040);
        for (word, value) in [(1, cylinders), (3, heads), (6, per_track)] {
            words.set(word, value);
        }
        identity::write(&mut words, "NVMM HARDDISK", &self.serial());
        words.set(47, 0x8000 | u16::from(MAX_MULTIPLE));
        // LBA, DMA, IORDY, standby timers with the standard's values.
        words.set(49, 0x2f00);
        words.set(50, 0x4000);
        // Words 54 to 58, 64 to 70 and 88 are valid.
        words.set(53, 0x0007);
        for (word, value) in [(54, cylinders), (55, heads), (56, per_track)] {
            words.set(word, value);
        }
        words.set_wide(57, u64::from(cylinders) * HEADS * SECTORS_PER_TRACK, 2);
        if settings.multiple > 0 {
            words.set(59, 0x0100 | u16::from(settings.multiple));
        }
        words.set_wide(60, short, 2);
        identity::write_modes(&mut words, settings.ultra_dma);
        words.set(75, u16::from(SLOTS - 1));
        // Native command queuing.
        words.set(76, identity::SATA_SPEEDS | 1 << 8);
        // ATA/ATAPI-4 to ACS-2.
        words.set(80, 0x03f0);
        let (power, cache, look_ahead) = (1 << 3, 1 << 5, 1 << 6);
        words.set(82, power | cache | look_ahead);
        // 48-bit addresses, and both flush commands.
        words.set(83, 0x4000 | 1 << 10 | 1 << 12 | 1 << 13);
        // Logs, and writes that go to the medium directly.
        words.set(84, 0x4000 | 1 << 5 | 1 << 6);
        let on = |set: bool, bits: u16| if set { bits } else { 0 };
        words.set(85, power | on(self.cache.writeback(), cache) | on(settings.look_ahead, look_ahead));
        words.set(86, 0x8000 | 1 << 10 | 1 << 12 | 1 << 13);
        words.set(87, 0x4000 | 1 << 5 | 1 << 6);
        words.set_wide(100, sectors, 4);
        let per_physical = (block.physical / self.sector_len).max(1);
        let exponent = u16::try_from(per_physical.ilog2()).unwrap_or(0);
        let (larger, long) = (per_physical > 1, self.sector_len > 512);
        words.set(106, 0x4000 | on(larger, 1 << 13) | on(long, 1 << 12) | exponent & 0xf);
        if long {
            words.set_wide(117, u64::from(self.sector_len / 2), 2);
        }
        words.set(119, 0x4000);
        words.set(120, 0x4000);
        if self.trims() {
            words.set(105, TRIM_BLOCKS);
            words.set(169, 1);
        }
        // Logical sector 0 is at the beginning of a physical one.
        words.set(209, 0x4000);
        // It does not rotate.
        words.set(217, 1);
        words.set(222, identity::SATA_TRANSPORT);
        words.into_bytes()
    }

    /// The user's serial number, or the text for a disk without one.
    fn serial(&self) -> String {
        self.lasting.options.serial.to_string()
    }
}
