//! Pixels in a viewer's format: RFC 6143, "Pixel Format Data Structure".

use thiserror::Error;

/// The format of a pixel. The default is the server's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PixelFormat {
    bits: u8,
    depth: u8,
    big_endian: bool,
    red: Channel,
    green: Channel,
    blue: Channel,
}

/// A colour's position in a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    max: u16,
    shift: u8,
}

/// The reason why a format is refused.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum FormatError {
    #[error("it wants a colour map, which nvmm does not have")]
    ColourMap,
    #[error("it wants pixels of {0} bits; 8, 16 and 32 can be had")]
    Bits(u8),
    #[error("it wants colours that don't fit into a pixel")]
    Colours,
}

impl Default for PixelFormat {
    fn default() -> Self {
        let channel = |shift| Channel { max: 255, shift };
        Self { bits: 32, depth: 24, big_endian: false, red: channel(16), green: channel(8), blue: channel(0) }
    }
}

impl PixelFormat {
    /// Parses a viewer's format.
    ///
    /// # Errors
    ///
    /// The format has a colour map, or is impossible.
    pub(super) fn parse(bytes: &[u8; 16]) -> Result<Self, FormatError> {
        let &[bits, depth, big_endian, true_colour, r, r_, g, g_, b, b_, red, green, blue, ..] = bytes;
        if !matches!(bits, 8 | 16 | 32) {
            return Err(FormatError::Bits(bits));
        }
        if true_colour == 0 {
            return Err(FormatError::ColourMap);
        }
        let channel = |max, shift| {
            let channel = Channel { max: u16::from_be_bytes(max), shift };
            let fits = channel.max != 0 && shift < bits && u64::from(channel.max) << shift >> bits == 0;
            if fits { Ok(channel) } else { Err(FormatError::Colours) }
        };
        let [red, green, blue] = [([r, r_], red), ([g, g_], green), ([b, b_], blue)];
        Ok(Self {
            bits,
            depth,
            big_endian: big_endian != 0,
            red: channel(red.0, red.1)?,
            green: channel(green.0, green.1)?,
            blue: channel(blue.0, blue.1)?,
        })
    }

    /// The format as a server sends it.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let Self { bits, depth, big_endian, red, green, blue } = self;
        let [[r, r_], [g, g_], [b, b_]] = [red, green, blue].map(|channel| channel.max.to_be_bytes());
        let (red, green, blue) = (red.shift, green.shift, blue.shift);
        [bits, depth, big_endian.into(), 1, r, r_, g, g_, b, b_, red, green, blue, 0, 0, 0]
    }
}

/// Converts a picture's pixels to a viewer's format.
#[derive(Clone, Debug)]
pub(super) struct Converter {
    format: PixelFormat,
    /// The bits of a pixel for each value of red, green and blue.
    tables: [[u32; 256]; 3],
}

impl Converter {
    pub(super) fn new(format: PixelFormat) -> Self {
        let table = |Channel { max, shift }| {
            std::array::from_fn(|value| {
                let value = u32::try_from(value).unwrap_or_default();
                ((value * u32::from(max) + 127) / 255) << shift
            })
        };
        Self { format, tables: [format.red, format.green, format.blue].map(table) }
    }

    /// Appends a viewer's pixels for `pixels`, each `0x00RRGGBB`.
    pub(super) fn append(&self, pixels: &[u32], to: &mut Vec<u8>) {
        let PixelFormat { bits, big_endian, .. } = self.format;
        let pixels = pixels.iter().map(|&pixel| self.convert(pixel));
        // A pixel consists of only its low bytes.
        match (bits, big_endian) {
            (32, false) => to.extend(pixels.flat_map(u32::to_le_bytes)),
            (32, true) => to.extend(pixels.flat_map(u32::to_be_bytes)),
            (16, false) => to.extend(pixels.flat_map(|pixel| low::<2>(pixel.to_le_bytes()))),
            (16, true) => to.extend(pixels.flat_map(|pixel| high::<2>(pixel.to_be_bytes()))),
            _ => to.extend(pixels.map(|pixel| pixel.to_le_bytes()[0])),
        }
    }

    /// Appends pixels in ZRLE's form, CPIXEL: of four bytes with 24 bits of colour, the unused byte is left out. RFC 6143, "ZRLE Encoding".
    pub(super) fn append_compact(&self, pixels: &[u32], to: &mut Vec<u8>) {
        let PixelFormat { bits, depth, big_endian, red, green, blue } = self.format;
        let used = [red, green, blue].iter().fold(0, |used, it| used | u32::from(it.max) << it.shift);
        let (is_low, is_high) = (used & 0xff00_0000 == 0, used & 0xff == 0);
        if bits != 32 || depth > 24 || !is_low && !is_high {
            return self.append(pixels, to);
        }
        for &pixel in pixels {
            let pixel = if is_low { self.convert(pixel) } else { self.convert(pixel) >> 8 };
            match big_endian {
                false => to.extend(low::<3>(pixel.to_le_bytes())),
                true => to.extend(high::<3>(pixel.to_be_bytes())),
            }
        }
    }

    fn convert(&self, pixel: u32) -> u32 {
        let [_, red, green, blue] = pixel.to_be_bytes().map(usize::from);
        self.tables[0][red] | self.tables[1][green] | self.tables[2][blue]
    }
}

fn low<const N: usize>(bytes: [u8; 4]) -> [u8; N] {
    std::array::from_fn(|at| bytes[at])
}

fn high<const N: usize>(bytes: [u8; 4]) -> [u8; N] {
    std::array::from_fn(|at| bytes[4 - N + at])
}

#[cfg(test)]
#[path = "pixels_test.rs"]
mod tests;
