//! The CMOS memory of a PC with its real-time clock, an MC146818A.

mod calendar;
mod chip;
mod state;

use std::{
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use self::chip::{BYTES, Chip};
use super::timer::Timer;
use crate::{
    bus::{BusDevice, Effect},
    irq::Line,
    wakes::Wakes,
};

/// Index port.
const INDEX: u64 = 0;
/// Data port.
const DATA: u64 = 1;
/// The bit of the index port that masks the NMIs of a PC's chipset. There are no such NMIs here.
const NMI_MASK: u8 = 0x80;

const KIB: u64 = 1 << 10;
/// The unit of the larger memory sizes.
const BLOCK: u64 = 64 * KIB;
const MIB: u64 = 1 << 20;

/// The state that a battery keeps through resets of the machine: memory, and the clock, which starts with the host's time in UTC and keeps
/// the time that the guest sets. Clones are the same chip.
#[derive(Clone, Debug)]
pub struct Cmos(Arc<Mutex<Chip>>);

impl Cmos {
    /// A chip whose memory contains the size of RAM below and above 4 GiB, at the addresses where PC firmware looks for it.
    #[must_use]
    pub fn new(ram_below_4g: u64, ram_above_4g: u64) -> Self {
        let mut chip = Chip::new();
        let word = |units: u64| u16::try_from(units).unwrap_or(u16::MAX).to_le_bytes();
        let extended = word(ram_below_4g.saturating_sub(MIB) / KIB);
        chip.set(0x15, &word(640));
        chip.set(0x17, &extended);
        chip.set(0x30, &extended);
        chip.set(0x34, &word(ram_below_4g.saturating_sub(16 * MIB) / BLOCK));
        let [above @ .., _, _, _, _, _] = (ram_above_4g / BLOCK).min(0xff_ffff).to_le_bytes();
        chip.set(0x5b, &above);
        Self(Arc::new(Mutex::new(chip)))
    }

    fn chip(&self) -> MutexGuard<'_, Chip> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ports of the CMOS memory, index (write-only) and data, and its interrupt.
///
/// The time that the guest reads follows the host's clock. Periodic, alarm and update-ended interrupts are as punctual as the thread that
/// serves [`Wakes::wakeup`]. The timer runs only while one of them is enabled and none waits to be acknowledged.
#[derive(Debug)]
pub struct CmosPorts {
    cmos: Cmos,
    index: u8,
    irq: Arc<dyn Line>,
    high: bool,
    timer: Box<dyn Timer>,
    /// The time for which the timer is set.
    waits_until: Option<Duration>,
}

impl CmosPorts {
    /// The number of ports.
    pub const LEN: u64 = 2;

    /// The ports after a reset of the machine: no interrupt is enabled. `irq` is edge-triggered; the line stays high until the guest reads
    /// register C. `timer` has the time in UTC.
    #[must_use]
    pub fn new(cmos: Cmos, irq: Arc<dyn Line>, timer: Box<dyn Timer>) -> Self {
        cmos.chip().reset(timer.now());
        Self { cmos, index: 0, irq, high: false, timer, waits_until: None }
    }

    /// Drives the line, and sets the timer for its next change.
    fn update(&mut self, chip: &Chip) {
        let high = chip.interrupts();
        if std::mem::replace(&mut self.high, high) != high {
            self.irq.set(high);
        }
        let next = chip.next_interrupt();
        if std::mem::replace(&mut self.waits_until, next) != next {
            self.timer.set(next);
        }
    }
}

impl BusDevice for CmosPorts {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let cmos = self.cmos.clone();
        let mut chip = cmos.chip();
        for (offset, byte) in (offset..).zip(data) {
            *byte = match offset {
                DATA => chip.read(self.index, self.timer.now()),
                _ => 0xff,
            };
        }
        self.update(&chip);
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let cmos = self.cmos.clone();
        let mut chip = cmos.chip();
        for (offset, &byte) in (offset..).zip(data) {
            match offset {
                INDEX => self.index = byte & !NMI_MASK,
                DATA => chip.write(self.index, byte, self.timer.now()),
                _ => {}
            }
        }
        self.update(&chip);
        Effect::None
    }
}

impl Wakes for CmosPorts {
    fn wakeup(&self) -> BorrowedFd<'_> {
        self.timer.fd()
    }

    fn on_wakeup(&mut self) {
        let cmos = self.cmos.clone();
        let mut chip = cmos.chip();
        chip.advance(self.timer.now());
        // Always set, since that makes it unreadable.
        self.timer.set(None);
        self.waits_until = None;
        self.update(&chip);
    }
}

// The index port has seven bits for the address of a byte.
const _: () = assert!(BYTES == NMI_MASK as usize);

#[cfg(test)]
#[path = "cmos_test.rs"]
mod tests;
