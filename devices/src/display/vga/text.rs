//! Draws characters.

use arch::{layout, memory::GuestRam};
use vm_memory::{Bytes, GuestAddress};

use super::{super::Picture, mode::Text};

/// The length of the memory for characters and fonts.
const LEN: usize = 0x2_0000;
const WINDOW: usize = 0x8000;
/// The length of a font: 256 characters of 32 lines.
const FONT: usize = 0x2000;
const LINES: usize = 32;
/// Line graphics characters, whose ninth column repeats their eighth.
const LINE_GRAPHICS: std::ops::RangeInclusive<u8> = 0xc0..=0xdf;

/// The text when it was last drawn.
#[derive(Debug, Default)]
pub(super) struct TextCanvas {
    /// The window's contents, from the first character on.
    cells: Vec<u8>,
    /// The two fonts.
    fonts: [Vec<u8>; 2],
    row: Vec<u32>,
}

impl TextCanvas {
    /// Draws the rows of characters whose memory has changed, or `all`. `before` is the mode of the last drawing, if it was a text mode.
    pub(super) fn draw(
        &mut self,
        picture: &mut Picture,
        memory: &GuestRam,
        mode: &Text,
        before: Option<&Text>,
    ) {
        let mut all = before.is_none_or(|before| !mode.differs_by_cursor(before));
        for (font, &at) in self.fonts.iter_mut().zip(&mode.fonts) {
            let mut bytes = vec![0; FONT];
            read(memory, at, &mut bytes);
            all |= *font != bytes;
            *font = bytes;
        }
        let mut window = vec![0; WINDOW];
        read(memory, mode.window, &mut window);
        let size = |cells: u16, pixels: u16| cells.saturating_mul(pixels);
        picture.begin(size(mode.columns, mode.width), size(mode.rows, mode.height));
        let columns = usize::from(mode.columns);
        let mut cells = Vec::with_capacity(2 * columns * usize::from(mode.rows));
        for row in 0..usize::from(mode.rows) {
            let start = mode.start + row * mode.pitch;
            let cell = |column: usize| (start + 2 * column) % WINDOW;
            cells.extend((0..columns).flat_map(|column| [window[cell(column)], window[cell(column) + 1]]));
        }
        let len = 2 * columns;
        for (row, line) in (0..mode.rows).zip(cells.chunks(len.max(1))) {
            let start = usize::from(row) * len;
            let has_changed = self.cells.get(start..start + len) != Some(line);
            let cursor = |mode: &Text| mode.cursor.and_then(|cursor| cell_in_row(mode, row, cursor.at));
            let cursor_moved = before.is_some_and(|before| {
                (before.cursor != mode.cursor) && (cursor(before).is_some() || cursor(mode).is_some())
            });
            if all || has_changed || cursor_moved {
                self.draw_row(picture, mode, row, line);
            }
        }
        self.cells = cells;
    }

    /// Draws a row of characters.
    fn draw_row(&mut self, picture: &mut Picture, mode: &Text, row: u16, cells: &[u8]) {
        let cursor = mode.cursor.and_then(|cursor| Some((cell_in_row(mode, row, cursor.at)?, cursor)));
        for line in 0..mode.height {
            self.row.clear();
            for (column, cell) in cells.chunks_exact(2).enumerate() {
                let (character, attribute) = (cell[0], cell[1]);
                let font = &self.fonts[usize::from(attribute >> 3 & 1)];
                let at = usize::from(character) * LINES + usize::from(line);
                let mut bits = u16::from(font.get(at).copied().unwrap_or(0)) << 1;
                if mode.line_graphics && LINE_GRAPHICS.contains(&character) {
                    bits |= bits >> 1 & 1;
                }
                if cursor
                    .is_some_and(|(at, cursor)| at == column && (cursor.first..=cursor.last).contains(&line))
                {
                    bits = 0x1ff;
                }
                let ground = if mode.blink { attribute >> 4 & 7 } else { attribute >> 4 };
                // With two fonts, bit 3 selects the font and is also part of the colour.
                let colors = [ground, attribute & 0xf].map(|number| mode.colors[usize::from(number)]);
                let pixels = (0..mode.width).map(|pixel| colors[usize::from(bits >> (8 - pixel) & 1)]);
                self.row.extend(pixels);
            }
            picture.draw_row(row * mode.height + line, &self.row);
        }
    }
}

impl Text {
    /// Returns true if only the cursor differs, apart from contents of memory.
    fn differs_by_cursor(&self, other: &Self) -> bool {
        Self { cursor: None, ..self.clone() } == Self { cursor: None, ..other.clone() }
    }
}

/// The column in a row of the character at an offset in the window.
fn cell_in_row(mode: &Text, row: u16, at: usize) -> Option<usize> {
    let start = (mode.start + usize::from(row) * mode.pitch) % WINDOW;
    let column = (at + WINDOW - start) % WINDOW / 2;
    (column < usize::from(mode.columns)).then_some(column)
}

/// Reads memory from A0000H on; zeros where there is none.
pub(super) fn read(memory: &GuestRam, offset: usize, bytes: &mut [u8]) {
    debug_assert!(offset + bytes.len() <= LEN, "{offset:#x}");
    let address = GuestAddress(layout::VIDEO_MEMORY + offset as u64);
    if memory.read_slice(bytes, address).is_err() {
        bytes.fill(0);
    }
}

#[cfg(test)]
#[path = "text_test.rs"]
mod tests;
