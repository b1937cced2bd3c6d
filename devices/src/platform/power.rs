use std::sync::Arc;

use arch::layout;
use bitfield_struct::bitfield;
use bitflags::bitflags;
use zerocopy::{Immutable, IntoBytes};

use crate::{
    bus::{Device, Effect},
    irq::Line,
    registers,
};

bitflags! {
    /// ACPI 6.5, "PM1 Status Registers" and "PM1 Enable Registers": what can be pending, and what may raise the SCI.
    /// Only the power button's ever happens here.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Events: u16 {
        /// `GBL_STS`, `GBL_EN`: the global lock. Linux checks that its event can be enabled.
        const GLOBAL_LOCK = 1 << 5;
        /// `PWRBTN_STS`, `PWRBTN_EN`.
        const POWER_BUTTON = 1 << 8;
    }
}

/// ACPI 6.5, "PM1 Control Registers".
#[bitfield(u16)]
struct Control {
    /// The power management events raise SCI, not SMI. Always set: there is no SMM to come from.
    sci_enable: bool,
    #[bits(9)]
    __: u16,
    #[bits(3)]
    sleep_type: u8,
    /// Goes to sleep; reads as zero.
    sleep_enable: bool,
    #[bits(2)]
    __: u8,
}

/// The three registers, as they stand one after another.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct Registers {
    status: [u8; 2],
    enable: [u8; 2],
    control: [u8; 2],
}

/// ACPI's fixed hardware: the PM1a event and control blocks, with a power button and the soft-off state.
///
/// ACPI 6.5, "Power Management Event Grouping", "Soft off"; no PM timer, no wake-up, no other sleep state.
#[derive(Debug)]
pub struct PowerManagement {
    status: Events,
    enable: Events,
    sleep_type: u8,
    /// The button is pressed as soon as the guest enables it.
    press_when_enabled: bool,
    sci: Arc<dyn Line>,
}

impl PowerManagement {
    /// How many ports it takes: the event block (status, enable) and the control block, two bytes each.
    pub const LEN: u64 = size_of::<Registers>() as u64;

    /// `sci` is level-triggered, and high as long as an enabled event is pending.
    #[must_use]
    pub fn new(sci: Arc<dyn Line>) -> Self {
        Self {
            status: Events::empty(),
            enable: Events::empty(),
            sleep_type: 0,
            press_when_enabled: false,
            sci,
        }
    }

    /// Whether the guest listens to the power button.
    #[must_use]
    pub fn is_power_button_enabled(&self) -> bool {
        self.enable.contains(Events::POWER_BUTTON)
    }

    /// Presses the power button. A guest that has enabled it gets an interrupt, and is expected to power off.
    pub fn press_power_button(&mut self) {
        self.status |= Events::POWER_BUTTON;
        self.drive_sci();
    }

    /// Presses the power button once the guest has enabled it. An operating system that starts takes an earlier press for an old
    /// one, and clears it.
    pub fn press_power_button_when_enabled(&mut self) {
        if self.is_power_button_enabled() {
            self.press_power_button();
        } else {
            self.press_when_enabled = true;
        }
    }

    fn drive_sci(&self) {
        self.sci.set(self.status.intersects(self.enable));
    }

    fn write_byte(&mut self, offset: u64, value: u8) -> Effect {
        let bits = u16::from(value) << (8 * (offset % 2));
        // The bits of the register's other byte.
        let kept = !(0xff << (8 * (offset % 2)));
        match offset {
            0 | 1 => self.status -= Events::from_bits_truncate(bits),
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

impl Device for PowerManagement {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let control = Control::new().with_sci_enable(true).with_sleep_type(self.sleep_type);
        let image = Registers {
            status: self.status.bits().to_le_bytes(),
            enable: self.enable.bits().to_le_bytes(),
            control: u16::from(control).to_le_bytes(),
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

#[cfg(test)]
#[path = "power_test.rs"]
mod tests;
