//! Draws the linear modes and mode 13H.

use arch::{layout::PAGE, memory::GuestRam};
use vm_memory::VolatileSlice;

use super::{
    super::Picture,
    mode::{Chained, Format, Linear, Palette},
    text,
};

/// The size of mode 13H in pixels, and the length of its memory.
const CHAINED: (u16, u16) = (320, 200);
const CHAINED_MEMORY: usize = 0x1_0000;

/// A buffer for a row.
#[derive(Debug, Default)]
pub(super) struct Canvas {
    bytes: Vec<u8>,
    row: Vec<u32>,
    /// The memory of mode 13H when it was last drawn.
    chained: Vec<u8>,
}

impl Canvas {
    /// Draws the rows whose bytes are in `dirty` pages (a bit for each page), or `all` rows. What lies past the end of video memory is
    /// black.
    pub(super) fn draw(
        &mut self,
        picture: &mut Picture,
        video: &VolatileSlice<'_>,
        (mode, palette): (&Linear, Option<&Palette>),
        dirty: &[u64],
        all: bool,
    ) {
        picture.begin(mode.width, mode.height);
        let len = usize::from(mode.width) * mode.format.bytes();
        for row in 0..mode.height {
            let start = mode.start.saturating_add(usize::from(row).saturating_mul(mode.pitch));
            if !all && !is_dirty(dirty, start, len) {
                continue;
            }
            self.bytes.clear();
            self.bytes.resize(len, 0);
            if start < video.len()
                && let Ok(bytes) = video.subslice(start, len.min(video.len() - start))
            {
                bytes.copy_to(&mut self.bytes[..]);
            }
            self.row.clear();
            colors(mode.format, palette, &self.bytes, &mut self.row);
            picture.draw_row(row, &self.row);
        }
    }

    /// Draws mode 13H, if its memory has changed or if `all`.
    pub(super) fn draw_chained(
        &mut self,
        picture: &mut Picture,
        memory: &GuestRam,
        (mode, palette): (&Chained, &Palette),
        all: bool,
    ) {
        let mut bytes = vec![0; CHAINED_MEMORY];
        text::read(memory, 0, &mut bytes);
        let (width, height) = CHAINED;
        picture.begin(2 * width, 2 * height);
        if !all && bytes == self.chained {
            return;
        }
        for row in 0..height {
            let start = mode.start + usize::from(row) * mode.pitch;
            let pixels = (0..usize::from(width)).map(|column| bytes[(start + column) % CHAINED_MEMORY]);
            self.bytes.clear();
            self.bytes.extend(pixels.flat_map(|pixel| [pixel; 2]));
            self.row.clear();
            colors(Format::Indexed, Some(palette), &self.bytes, &mut self.row);
            picture.draw_row(2 * row, &self.row);
            picture.draw_row(2 * row + 1, &self.row);
        }
        self.chained = bytes;
    }
}

/// Returns true if a page with some of these bytes is dirty.
fn is_dirty(dirty: &[u64], start: usize, len: usize) -> bool {
    let page = usize::try_from(PAGE).unwrap_or(1);
    (start / page..=start.saturating_add(len.saturating_sub(1)) / page)
        .any(|page| dirty.get(page / 64).is_some_and(|word| word >> (page % 64) & 1 != 0))
}

/// The colours of pixels, `0x00RRGGBB`.
fn colors(format: Format, palette: Option<&Palette>, bytes: &[u8], into: &mut Vec<u32>) {
    /// A part of a colour: `bits` bits from bit `at` on, scaled so that the greatest value is 255.
    fn part(pixel: u16, at: u16, bits: u16) -> u8 {
        let value = pixel >> at & ((1 << bits) - 1);
        let wide = value << (8 - bits) | value >> (2 * bits - 8);
        wide.to_le_bytes()[0]
    }
    let rgb = |red, green, blue| u32::from_be_bytes([0, red, green, blue]);
    let words = || bytes.as_chunks::<2>().0.iter().map(|&pixel| u16::from_le_bytes(pixel));
    match format {
        Format::Indexed => {
            let color = |&pixel: &u8| palette.map_or(0, |palette| palette[usize::from(pixel)]);
            into.extend(bytes.iter().map(color));
        }
        Format::Rgb555 => {
            into.extend(words().map(|pixel| rgb(part(pixel, 10, 5), part(pixel, 5, 5), part(pixel, 0, 5))));
        }
        Format::Rgb565 => {
            into.extend(words().map(|pixel| rgb(part(pixel, 11, 5), part(pixel, 5, 6), part(pixel, 0, 5))));
        }
        Format::Rgb888 => {
            into.extend(bytes.as_chunks::<3>().0.iter().map(|&[blue, green, red]| rgb(red, green, blue)));
        }
        Format::Xrgb8888 => {
            let pixels = bytes.as_chunks::<4>().0.iter();
            into.extend(pixels.map(|&pixel| u32::from_le_bytes(pixel) & 0x00ff_ffff));
        }
    }
}

#[cfg(test)]
#[path = "linear_test.rs"]
mod tests;
