//! The table of colours: IBM, "Personal System/2 Hardware Interface Technical Reference", "Video Digital-to-Analog Converter".

use serde::{Deserialize, Serialize};

use crate::state::hex;

/// The parts of a colour: red, green and blue.
const PARTS: u8 = 3;

/// The digital-to-analog converter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dac {
    /// The mask for a colour's number.
    pub(super) mask: u8,
    /// The parts of each colour.
    #[serde(with = "hex")]
    colors: [u8; 256 * PARTS as usize],
    read: Place,
    write: Place,
    is_reading: bool,
}

/// The position of the next byte.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    color: u8,
    /// The part of the colour; 0 is red.
    part: u8,
}

impl Place {
    fn at(color: u8) -> Self {
        Self { color, part: 0 }
    }

    /// Returns the position in the table, and moves on to the next one.
    fn next(&mut self) -> usize {
        let now = usize::from(self.color) * usize::from(PARTS) + usize::from(self.part);
        self.part = (self.part + 1) % PARTS;
        if self.part == 0 {
            self.color = self.color.wrapping_add(1);
        }
        now
    }
}

impl Dac {
    /// A converter whose colours are all black.
    pub(super) fn new() -> Self {
        let (read, write) = (Place::default(), Place::default());
        Self { mask: 0xff, colors: [0; _], read, write, is_reading: false }
    }

    /// Returns whether the positions are possible.
    pub(super) fn is_possible(&self) -> bool {
        self.read.part < PARTS && self.write.part < PARTS
    }

    /// The purpose for which the last index was written: 3 for reading, 0 for writing.
    pub(super) fn state(&self) -> u8 {
        u8::from(self.is_reading) * 3
    }

    pub(super) fn write_index(&self) -> u8 {
        self.write.color
    }

    pub(super) fn set_read_index(&mut self, color: u8) {
        (self.read, self.is_reading) = (Place::at(color), true);
    }

    pub(super) fn set_write_index(&mut self, color: u8) {
        (self.write, self.is_reading) = (Place::at(color), false);
    }

    /// Reads the next part of a colour.
    pub(super) fn read(&mut self) -> u8 {
        self.colors[self.read.next()]
    }

    /// Writes the next part of a colour.
    pub(super) fn write(&mut self, value: u8) {
        self.colors[self.write.next()] = value;
    }

    /// A colour, `0x00RRGGBB`. `wide`: its parts have eight bits instead of six.
    pub(super) fn color(&self, number: u8, wide: bool) -> u32 {
        let part = |value: u8| {
            // Repeat the highest bits, so that the brightest value is 255.
            if wide { value } else { value << 2 | value >> 4 & 3 }
        };
        let (colors, _) = self.colors.as_chunks();
        let [red, green, blue] = colors[usize::from(number & self.mask)].map(part);
        u32::from_be_bytes([0, red, green, blue])
    }
}
