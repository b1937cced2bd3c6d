//! The table of colours: IBM, "Personal System/2 Hardware Interface Technical Reference", "Video Digital-to-Analog Converter".

/// The converter.
#[derive(Debug)]
pub(super) struct Dac {
    /// The bits of a colour's number that count.
    pub(super) mask: u8,
    /// Red, green and blue of each colour.
    colors: [[u8; 3]; 256],
    read: Place,
    write: Place,
    is_reading: bool,
}

/// The byte that comes next.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    color: u8,
    /// 0 is red.
    part: u8,
}

impl Place {
    fn at(color: u8) -> Self {
        Self { color, part: 0 }
    }

    /// The place, and on to the next one.
    fn next(&mut self) -> (usize, usize) {
        let now = (self.color.into(), self.part.into());
        self.part = (self.part + 1) % 3;
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
        Self { mask: 0xff, colors: [[0; 3]; 256], read, write, is_reading: false }
    }

    /// The use of the last index: 3 is reading.
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
        let (color, part) = self.read.next();
        self.colors[color][part]
    }

    /// Writes the next part of a colour.
    pub(super) fn write(&mut self, value: u8) {
        let (color, part) = self.write.next();
        self.colors[color][part] = value;
    }

    /// A colour, `0x00RRGGBB`; `wide` says that its parts have eight bits instead of six.
    pub(super) fn color(&self, number: u8, wide: bool) -> u32 {
        let part = |value: u8| {
            // The highest bits again, so that the brightest is 255.
            if wide { value } else { value << 2 | value >> 4 & 3 }
        };
        let [red, green, blue] = self.colors[usize::from(number & self.mask)].map(part);
        u32::from_be_bytes([0, red, green, blue])
    }
}
