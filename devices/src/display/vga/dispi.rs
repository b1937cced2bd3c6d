//! The registers of Bochs' VBE extension, "dispi", with which software sets linear modes: QEMU, `docs/specs/standard-vga.rst`.

mod state;

use bitflags::bitflags;

pub(super) use self::state::DispiState;
use super::mode::{Format, Linear};

/// The registers, by number.
const ID: u16 = 0;
const XRES: u16 = 1;
const YRES: u16 = 2;
const BPP: u16 = 3;
const ENABLE: u16 = 4;
const BANK: u16 = 5;
const VIRT_WIDTH: u16 = 6;
const VIRT_HEIGHT: u16 = 7;
const X_OFFSET: u16 = 8;
const Y_OFFSET: u16 = 9;
const MEMORY: u16 = 10;

/// The versions of the interface. Software may select one, and reads it back.
const FIRST_VERSION: u16 = 0xb0c0;
const VERSION: u16 = 0xb0c5;
/// The unit of the register with the size of video memory.
const MEMORY_UNIT: usize = 64 << 10;

/// The largest mode. Whatever its depth, it has no more pixels than fit into video memory at 32 bits each.
const MAX_WIDTH: u16 = 4096;
const MAX_HEIGHT: u16 = 4096;
const MAX_BPP: u16 = 32;
/// Widths are multiples of this.
const WIDTH_UNIT: u16 = 8;

bitflags! {
    /// `VBE_DISPI_INDEX_ENABLE`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Enable: u16 {
        const ENABLED = 1 << 0;
        /// The mode's registers return the largest mode.
        const CAPABILITIES = 1 << 1;
        const DAC_8_BIT = 1 << 5;
        const LINEAR = 1 << 6;
        /// Enabling does not clear the screen.
        const KEEP_MEMORY = 1 << 7;
        const _ = !0;
    }
}

/// The registers.
#[derive(Debug)]
pub(super) struct Dispi {
    index: u16,
    version: u16,
    width: u16,
    height: u16,
    bpp: u16,
    enable: Enable,
    bank: u16,
    /// Pixels from one row to the next.
    virtual_width: u16,
    x: u16,
    y: u16,
    /// Bytes of video memory.
    memory: usize,
}

impl Dispi {
    /// The number of 16-bit registers.
    pub(super) const COUNT: u16 = MEMORY + 1;

    /// No mode is set yet. There are `memory` bytes of video memory.
    pub(super) fn new(memory: usize) -> Self {
        Self {
            index: 0,
            version: VERSION,
            width: 0,
            height: 0,
            bpp: 0,
            enable: Enable::empty(),
            bank: 0,
            virtual_width: 0,
            x: 0,
            y: 0,
            memory,
        }
    }

    /// The index of the register that the ports select.
    pub(super) fn index(&self) -> u16 {
        self.index
    }

    /// Selects a register.
    pub(super) fn set_index(&mut self, index: u16) {
        self.index = index;
    }

    /// Reads the register `index`.
    pub(super) fn read(&self, index: u16) -> u16 {
        let tells_most = self.enable.contains(Enable::CAPABILITIES);
        match index {
            ID => self.version,
            XRES if tells_most => MAX_WIDTH,
            YRES if tells_most => MAX_HEIGHT,
            BPP if tells_most => MAX_BPP,
            XRES => self.width,
            YRES => self.height,
            BPP => self.bpp,
            ENABLE => self.enable.bits(),
            BANK => self.bank,
            VIRT_WIDTH => self.virtual_width,
            VIRT_HEIGHT => self.rows(),
            X_OFFSET => self.x,
            Y_OFFSET => self.y,
            MEMORY => u16::try_from(self.memory / MEMORY_UNIT).unwrap_or(u16::MAX),
            _ => 0,
        }
    }

    /// Writes to the register `index`. Returns true if this begins a mode whose screen has to be cleared.
    #[must_use]
    pub(super) fn write(&mut self, index: u16, value: u16) -> bool {
        let mut clear = false;
        match index {
            ID if (FIRST_VERSION..=VERSION).contains(&value) => self.version = value,
            XRES => self.width = value,
            YRES => self.height = value,
            BPP => self.bpp = value,
            ENABLE => clear = self.set_enable(Enable::from_bits_retain(value)),
            BANK => self.bank = value,
            VIRT_WIDTH => self.virtual_width = value,
            X_OFFSET => self.x = value,
            Y_OFFSET => self.y = value,
            _ => {}
        }
        if self.enable.contains(Enable::ENABLED) {
            self.fit();
        }
        clear
    }

    /// Returns true if the screen has to be cleared.
    fn set_enable(&mut self, enable: Enable) -> bool {
        let begins = enable.contains(Enable::ENABLED) && !self.enable.contains(Enable::ENABLED);
        self.enable = enable;
        if begins {
            (self.virtual_width, self.x, self.y) = (0, 0, 0);
        }
        begins && !enable.contains(Enable::KEEP_MEMORY)
    }

    /// Changes the mode to a possible one, as QEMU does.
    fn fit(&mut self) {
        if Format::of(self.bpp).is_none() {
            self.bpp = 8;
        }
        self.width = (self.width / WIDTH_UNIT * WIDTH_UNIT).clamp(WIDTH_UNIT, MAX_WIDTH);
        self.virtual_width = self.virtual_width.max(self.width);
        let most = self.memory / 4 / usize::from(self.width);
        let most = u16::try_from(most).unwrap_or(u16::MAX).min(MAX_HEIGHT).min(self.rows());
        self.height = self.height.clamp(1, most.max(1));
    }

    /// The number of rows that fit into video memory.
    fn rows(&self) -> u16 {
        let pitch = usize::from(self.virtual_width) * Format::of(self.bpp).map_or(1, Format::bytes);
        u16::try_from(self.memory.checked_div(pitch).unwrap_or(0)).unwrap_or(u16::MAX)
    }

    /// The mode, if one is set.
    pub(super) fn mode(&self) -> Option<Linear> {
        let format = Format::of(self.bpp).filter(|_| self.enable.contains(Enable::ENABLED))?;
        let (width, height) = (self.width, self.height);
        let pitch = usize::from(self.virtual_width) * format.bytes();
        let start = usize::from(self.y) * pitch + usize::from(self.x) * format.bytes();
        Some(Linear { width, height, format, start, pitch })
    }

    /// Sets a mode of 32 bits a pixel, as a driver would.
    pub(super) fn set(&mut self, width: u16, height: u16) {
        let enable = Enable::ENABLED | Enable::LINEAR | Enable::KEEP_MEMORY;
        for (index, value) in [(XRES, width), (YRES, height), (BPP, MAX_BPP), (ENABLE, enable.bits())] {
            let _clear = self.write(index, value);
        }
    }

    /// Returns true if the colours of the DAC have eight bits instead of six.
    pub(super) fn has_wide_dac(&self) -> bool {
        self.enable.contains(Enable::DAC_8_BIT)
    }
}

#[cfg(test)]
#[path = "dispi_test.rs"]
mod tests;
