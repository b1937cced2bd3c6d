mod state;

use std::{os::fd::BorrowedFd, sync::Arc};

use arch::layout;
use bitfield_struct::bitfield;
use bitflags::bitflags;
use zerocopy::{Immutable, IntoBytes};

use super::{pm_timer::PmTimer, timer::Timer};
use crate::{
    bus::{BusDevice, Effect},
    irq::Line,
    registers,
    wakes::Wakes,
};

bitflags! {
    /// ACPI 6.5, "PM1 Status Registers" and "PM1 Enable Registers": the events that can be pending, and those that may raise the SCI. Only
    /// the timer's and the power button's ever happen here.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Events: u16 {
        /// `TMR_STS`, `TMR_EN`: the top bit of the PM timer has changed.
        const TIMER = 1 << 0;
        /// `GBL_STS`, `GBL_EN`: the global lock. Linux checks that its event can be enabled.
        const GLOBAL_LOCK = 1 << 5;
        /// `PWRBTN_STS`, `PWRBTN_EN`.
        const POWER_BUTTON = 1 << 8;
        /// `RTC_STS`, `RTC_EN`: wakes from a sleep, which does not exist here. Linux' driver of the RTC checks that its event can be
        /// enabled.
        const RTC = 1 << 10;
    }
}

/// ACPI 6.5, "PM1 Control Registers".
#[bitfield(u16)]
struct Control {
    /// The power management events raise SCI, not SMI. Always set, as there is no SMM.
    sci_enable: bool,
    #[bits(9)]
    __: u16,
    #[bits(3)]
    sleep_type: u8,
    /// Starts a sleep; reads as zero.
    sleep_enable: bool,
    #[bits(2)]
    __: u8,
}

/// The registers, in the order of their ports.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct Registers {
    status: [u8; 2],
    enable: [u8; 2],
    control: [u8; 2],
    reserved: [u8; 2],
    timer: [u8; 4],
}

/// ACPI's fixed hardware: the PM1a event and control blocks, with a power button and the soft-off state, and the PM timer.
///
/// ACPI 6.5, "Power Management Event Grouping", "Soft off", "Power Management Timer". There is no wake-up, and no other sleep state.
#[derive(Debug)]
pub struct PowerManagement {
    status: Events,
    enable: Events,
    sleep_type: u8,
    /// The button will be pressed as soon as the guest enables it.
    press_when_enabled: bool,
    timer: PmTimer,
    sci: Arc<dyn Line>,
}

impl PowerManagement {
    /// The number of ports: the event block (status, enable) and the control block, two bytes each; two unused ones; and four for the
    /// timer.
    pub const LEN: u64 = size_of::<Registers>() as u64;

    /// Makes the hardware. `sci` is level-triggered, and high as long as an enabled event is pending. `clock` is monotonic: the PM timer
    /// starts at zero, and counts by it.
    #[must_use]
    pub fn new(sci: Arc<dyn Line>, clock: Box<dyn Timer>) -> Self {
        Self {
            status: Events::empty(),
            enable: Events::empty(),
            sleep_type: 0,
            press_when_enabled: false,
            timer: PmTimer::new(clock),
            sci,
        }
    }

    /// Returns whether the guest has enabled the power button.
    #[must_use]
    pub fn is_power_button_enabled(&self) -> bool {
        self.enable.contains(Events::POWER_BUTTON)
    }

    /// Presses the power button. A guest that has enabled it gets an interrupt, and should power off.
    pub fn press_power_button(&mut self) {
        self.status |= Events::POWER_BUTTON;
        self.drive_sci();
    }

    /// Presses the power button once the guest has enabled it. A starting operating system takes an earlier press for an old one, and
    /// clears it.
    pub fn press_power_button_when_enabled(&mut self) {
        if self.is_power_button_enabled() {
            self.press_power_button();
        } else {
            self.press_when_enabled = true;
        }
    }

    /// Drives the line. If the timer's event is enabled, the timer wakes the main thread.
    fn drive_sci(&mut self) {
        let timer = self.enable.contains(Events::TIMER);
        self.timer.wake_for_carry(timer);
        self.sci.set(self.status.intersects(self.enable) || timer && self.timer.has_carried());
    }

    fn write_byte(&mut self, offset: u64, value: u8) -> Effect {
        let bits = u16::from(value) << (8 * (offset % 2));
        // Keep the bits of the register's other byte.
        let kept = !(0xff << (8 * (offset % 2)));
        match offset {
            0 | 1 => {
                let events = Events::from_bits_truncate(bits);
                self.status -= events;
                if events.contains(Events::TIMER) {
                    self.timer.acknowledge();
                }
            }
            2 | 3 => {
                self.enable = Events::from_bits_truncate(self.enable.bits() & kept | bits);
                if self.is_power_button_enabled() && std::mem::take(&mut self.press_when_enabled) {
                    self.status |= Events::POWER_BUTTON;
                }
            }
            5 => {
                let control = Control::from(bits);
                self.sleep_type = control.sleep_type();
                if control.sleep_enable() && self.sleep_type == layout::SLP_TYP_S5 {
                    return Effect::PowerOff;
                }
            }
            _ => {}
        }
        Effect::None
    }
}

impl BusDevice for PowerManagement {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let control = Control::new().with_sci_enable(true).with_sleep_type(self.sleep_type);
        let timer = if self.timer.has_carried() { Events::TIMER } else { Events::empty() };
        let image = Registers {
            status: (self.status | timer).bits().to_le_bytes(),
            enable: self.enable.bits().to_le_bytes(),
            control: u16::from(control).to_le_bytes(),
            reserved: [0; 2],
            timer: self.timer.value().to_le_bytes(),
        };
        data.fill(0);
        registers::read(image.as_bytes(), offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let mut effect = Effect::None;
        for (offset, &value) in (offset..Self::LEN).zip(data) {
            if let Effect::PowerOff = self.write_byte(offset, value) {
                effect = Effect::PowerOff;
            }
        }
        self.drive_sci();
        effect
    }
}

impl Wakes for PowerManagement {
    fn wakeup(&self) -> BorrowedFd<'_> {
        self.timer.fd()
    }

    fn on_wakeup(&mut self) {
        self.timer.on_wakeup();
        self.drive_sci();
    }
}

#[cfg(test)]
#[path = "power_test.rs"]
mod tests;
