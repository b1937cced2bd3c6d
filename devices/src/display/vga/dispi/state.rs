//! The dispi registers, in the form in which they are saved.

use serde::{Deserialize, Serialize};

use super::{Dispi, Enable, FIRST_VERSION, VERSION};

/// The registers that software has written, by their names.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct DispiState {
    index: u16,
    id: u16,
    xres: u16,
    yres: u16,
    bpp: u16,
    enable: u16,
    bank: u16,
    virt_width: u16,
    x_offset: u16,
    y_offset: u16,
}

impl Dispi {
    pub(in super::super) fn save(&self) -> DispiState {
        DispiState {
            index: self.index,
            id: self.version,
            xres: self.width,
            yres: self.height,
            bpp: self.bpp,
            enable: self.enable.bits(),
            bank: self.bank,
            virt_width: self.virtual_width,
            x_offset: self.x,
            y_offset: self.y,
        }
    }

    /// Loads a state, and corrects an impossible mode. Returns whether the state has a known version.
    #[must_use]
    pub(in super::super) fn load(&mut self, state: &DispiState) -> bool {
        *self = Self {
            index: state.index,
            version: state.id,
            width: state.xres,
            height: state.yres,
            bpp: state.bpp,
            enable: Enable::from_bits_retain(state.enable),
            bank: state.bank,
            virtual_width: state.virt_width,
            x: state.x_offset,
            y: state.y_offset,
            memory: self.memory,
        };
        if self.enable.contains(Enable::ENABLED) {
            self.fit();
        }
        (FIRST_VERSION..=VERSION).contains(&self.version)
    }
}
