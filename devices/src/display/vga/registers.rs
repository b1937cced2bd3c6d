//! The registers of a VGA, as far as text and the 256-colour mode 13H need them: IBM, "Personal System/2 Hardware Interface Technical
//! Reference", "Video Subsystem".

use serde::{Deserialize, Serialize};

use super::{
    dac::Dac,
    mode::{Chained, Cursor, Format, Linear, Mode, Palette, Text},
};
use crate::state::hex;

// Indices of the sequencer.
const CLOCKING_MODE: u8 = 1;
const CHARACTER_MAP: u8 = 3;
const MEMORY_MODE: u8 = 4;
// Of the CRT controller.
const HORIZONTAL_END: u8 = 1;
const OVERFLOW: u8 = 7;
const MAX_SCAN_LINE: u8 = 9;
const CURSOR_START: u8 = 0xa;
const CURSOR_END: u8 = 0xb;
const START_HIGH: u8 = 0xc;
const CURSOR_HIGH: u8 = 0xe;
const VERTICAL_RETRACE_END: u8 = 0x11;
const VERTICAL_END: u8 = 0x12;
const OFFSET: u8 = 0x13;
// Of the graphics controller.
const GRAPHICS_MODE: u8 = 5;
const MISCELLANEOUS: u8 = 6;
// Of the attribute controller; those below are the palette.
const MODE_CONTROL: u8 = 0x10;
const COLOR_PLANE_ENABLE: u8 = 0x12;
const COLOR_SELECT: u8 = 0x14;

/// The length of the text window, and its offset.
const TEXT_WINDOW: usize = 0x8000;
const MONOCHROME: usize = 0x1_0000;
const COLOR: usize = 0x1_8000;
/// Bytes of a font: 32 for each character.
const FONT: usize = 0x2000;

/// Registers that are accessed by an index and a data port.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Indexed<const N: usize> {
    index: u8,
    #[serde(with = "hex")]
    values: [u8; N],
}

impl<const N: usize> Indexed<N> {
    const fn new() -> Self {
        Self { index: 0, values: [0; N] }
    }

    /// The value of a register; 0 if there is none with this index.
    fn get(&self, index: u8) -> u8 {
        self.values.get(usize::from(index)).copied().unwrap_or(0)
    }

    fn set(&mut self, index: u8, value: u8) {
        if let Some(register) = self.values.get_mut(usize::from(index)) {
            *register = value;
        }
    }

    /// A value of 16 bits: the high byte is in the register `index`, and the low byte in the next one.
    fn get_pair(&self, index: u8) -> usize {
        usize::from(self.get(index)) << 8 | usize::from(self.get(index + 1))
    }
}

/// The registers, which are also saved in snapshots.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registers {
    miscellaneous: u8,
    sequencer: Indexed<5>,
    crtc: Indexed<25>,
    graphics: Indexed<9>,
    attributes: Indexed<21>,
    /// The attribute controller's port expects a value, and not an index.
    takes_value: bool,
    dac: Dac,
    /// Changes with each read, because software waits for both edges of the retrace.
    retrace: bool,
}

impl Registers {
    /// The registers after a reset.
    pub(super) fn new() -> Self {
        Self {
            miscellaneous: 0,
            sequencer: Indexed::new(),
            crtc: Indexed::new(),
            graphics: Indexed::new(),
            attributes: Indexed::new(),
            takes_value: false,
            dac: Dac::new(),
            retrace: false,
        }
    }

    /// Returns whether software can have set the registers to these values.
    pub(super) fn is_possible(&self) -> bool {
        self.dac.is_possible()
    }

    /// Switches the picture on, as a driver that sets a linear mode does.
    pub(super) fn unblank(&mut self) {
        self.miscellaneous |= 1;
        self.attributes.index |= 0x20;
    }

    /// Reads a port. The CRT controller's ports and the status are at 3BxH with a monochrome screen, and at 3DxH with a colour screen.
    pub(super) fn read(&mut self, port: u16) -> u8 {
        match port {
            0x3c0 => self.attributes.index,
            0x3c1 => self.attributes.get(self.attributes.index & 0x1f),
            0x3c4 => self.sequencer.index,
            0x3c5 => self.sequencer.get(self.sequencer.index),
            0x3c6 => self.dac.mask,
            0x3c7 => self.dac.state(),
            0x3c8 => self.dac.write_index(),
            0x3c9 => self.dac.read(),
            // Input status 0, feature control.
            0x3c2 | 0x3ca => 0,
            0x3cc => self.miscellaneous,
            0x3ce => self.graphics.index,
            0x3cf => self.graphics.get(self.graphics.index),
            port if port & 0x10 != 0 && port >> 4 == self.crtc_ports() => match port & 0xf {
                4 => self.crtc.index,
                5 => self.crtc.get(self.crtc.index),
                0xa => {
                    self.takes_value = false;
                    self.retrace = !self.retrace;
                    // Outside of the display area, in the vertical retrace.
                    u8::from(self.retrace) * 0b1001
                }
                _ => 0xff,
            },
            _ => 0xff,
        }
    }

    /// Writes to a port.
    pub(super) fn write(&mut self, port: u16, value: u8) {
        match port {
            0x3c0 if self.takes_value => {
                self.attributes.set(self.attributes.index & 0x1f, value);
                self.takes_value = false;
            }
            0x3c0 => {
                self.attributes.index = value & 0x3f;
                self.takes_value = true;
            }
            0x3c2 => self.miscellaneous = value,
            0x3c4 => self.sequencer.index = value,
            0x3c5 => self.sequencer.set(self.sequencer.index, value),
            0x3c6 => self.dac.mask = value,
            0x3c7 => self.dac.set_read_index(value),
            0x3c8 => self.dac.set_write_index(value),
            0x3c9 => self.dac.write(value),
            0x3ce => self.graphics.index = value,
            0x3cf => self.graphics.set(self.graphics.index, value),
            port if port & 0x10 != 0 && port >> 4 == self.crtc_ports() => match port & 0xf {
                4 => self.crtc.index = value,
                5 => self.write_crtc(value),
                _ => {}
            },
            _ => {}
        }
    }

    /// The upper digits of the CRT controller's ports: 3BxH or 3DxH.
    fn crtc_ports(&self) -> u16 {
        if self.miscellaneous & 1 == 0 { 0x3b } else { 0x3d }
    }

    fn write_crtc(&mut self, value: u8) {
        let index = self.crtc.index;
        // Registers 0 to 7 are write-protected then, except for a bit of the line compare.
        if self.crtc.get(VERTICAL_RETRACE_END) & 0x80 != 0 && index <= OVERFLOW {
            if index == OVERFLOW {
                self.crtc.set(index, self.crtc.get(index) & !0x10 | value & 0x10);
            }
            return;
        }
        self.crtc.set(index, value);
    }

    /// The mode that is shown: `linear`, if there is one, or the VGA's own. `wide_dac`: colours have eight bits.
    pub(super) fn mode(&self, linear: Option<Linear>, wide_dac: bool) -> Mode {
        let is_off = linear.is_none() && self.sequencer.get(CLOCKING_MODE) & 0x20 != 0;
        if self.attributes.index & 0x20 == 0 || is_off {
            return Mode::Blank;
        }
        if let Some(linear) = linear {
            let palette = (linear.format == Format::Indexed).then(|| self.palette(wide_dac));
            return Mode::Linear(linear, palette);
        }
        if self.graphics.get(MISCELLANEOUS) & 1 == 0 {
            return self.text(wide_dac).map_or(Mode::Loading, |text| Mode::Text(Box::new(text)));
        }
        let is_chained = self.sequencer.get(MEMORY_MODE) & 0x08 != 0;
        let has_256_colors = self.graphics.get(GRAPHICS_MODE) & 0x40 != 0;
        if is_chained && has_256_colors {
            let chained = Chained {
                start: self.crtc.get_pair(START_HIGH) * 4,
                pitch: usize::from(self.crtc.get(OFFSET)) * 8,
            };
            return Mode::Chained(chained, self.palette(wide_dac));
        }
        Mode::Planar
    }

    /// The text mode; none while its memory is mapped to another window, as when a font is loaded.
    fn text(&self, wide_dac: bool) -> Option<Text> {
        let window = match self.graphics.get(MISCELLANEOUS) >> 2 & 3 {
            2 => MONOCHROME,
            3 => COLOR,
            _ => return None,
        };
        let overflow = usize::from(self.crtc.get(OVERFLOW));
        let lines = usize::from(self.crtc.get(VERTICAL_END)) | (overflow & 2) << 7 | (overflow & 0x40) << 3;
        let scan = self.crtc.get(MAX_SCAN_LINE);
        let height = u16::from(scan & 0x1f) + 1;
        let lines = u16::try_from(lines).unwrap_or(0) + 1;
        // Each line is drawn twice.
        let lines = if scan & 0x80 == 0 { lines } else { lines.div_ceil(2) };
        let control = self.attributes.get(MODE_CONTROL);
        let cursor = (self.crtc.get(CURSOR_START), self.crtc.get(CURSOR_END));
        Some(Text {
            columns: u16::from(self.crtc.get(HORIZONTAL_END)) + 1,
            rows: (lines / height).max(1),
            width: if self.sequencer.get(CLOCKING_MODE) & 1 == 0 { 9 } else { 8 },
            height,
            window,
            start: self.crtc.get_pair(START_HIGH) * 2 % TEXT_WINDOW,
            pitch: usize::from(self.crtc.get(OFFSET)) * 4,
            cursor: (cursor.0 & 0x20 == 0).then(|| Cursor {
                at: self.crtc.get_pair(CURSOR_HIGH) * 2 % TEXT_WINDOW,
                first: (cursor.0 & 0x1f).into(),
                last: (cursor.1 & 0x1f).into(),
            }),
            colors: std::array::from_fn(|attribute| self.color(attribute, wide_dac)),
            fonts: self.fonts(),
            blink: control & 0x08 != 0,
            line_graphics: control & 0x04 != 0,
        })
    }

    /// The fonts' offsets: "Character Map Select" has three bits for map B and three for map A, of which the highest are separate.
    fn fonts(&self) -> [usize; 2] {
        let select = usize::from(self.sequencer.get(CHARACTER_MAP));
        let [b, a] = [select & 3 | select >> 2 & 4, select >> 2 & 3 | select >> 3 & 4];
        // The first four maps are 16 KiB apart, and the last four lie between them.
        [b, a].map(|map| ((map & 3) << 1 | map >> 2) * FONT)
    }

    /// The colour of an attribute.
    fn color(&self, attribute: usize, wide_dac: bool) -> u32 {
        let enabled = self.attributes.get(COLOR_PLANE_ENABLE) & 0xf;
        let entry = self.attributes.get(u8::try_from(attribute).unwrap_or(0) & enabled);
        let select = self.attributes.get(COLOR_SELECT);
        // "P5, P4 Select".
        let low = if self.attributes.get(MODE_CONTROL) & 0x80 == 0 {
            entry & 0x3f
        } else {
            entry & 0xf | (select & 3) << 4
        };
        self.dac.color(low | (select & 0xc) << 4, wide_dac)
    }

    /// The DAC's colours.
    fn palette(&self, wide_dac: bool) -> Palette {
        let mut palette = Box::new([0; 256]);
        for (number, color) in (0..=u8::MAX).zip(palette.iter_mut()) {
            *color = self.dac.color(number, wide_dac);
        }
        palette
    }
}

#[cfg(test)]
#[path = "registers_test.rs"]
pub(super) mod tests;
