use std::ops::Range;

/// Pixels on a side of a tile, the unit in which changes are recorded.
const TILE: usize = 16;

/// The time of a refresh, counted in refreshes of a picture. The default is before the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(u64);

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// The column of its left edge.
    pub x: u16,
    /// The row of its upper edge.
    pub y: u16,
    /// The width, not 0.
    pub width: u16,
    /// The height, not 0.
    pub height: u16,
}

/// The pixels that a screen shows, and when each part of them last changed.
#[derive(Debug, Default)]
pub struct Picture {
    width: u16,
    height: u16,
    /// Row by row, `0x00RRGGBB`.
    pixels: Vec<u32>,
    /// The time of each tile's last change, row by row.
    tiles: Vec<Stamp>,
    now: Stamp,
    resized: Stamp,
}

impl Picture {
    /// Width and height in pixels; both are 0 before the screen shows anything.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    /// The stamp of the last refresh.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.now
    }

    /// Returns true if the picture has another size than at `stamp`, or may have had one since.
    #[must_use]
    pub fn is_resized_since(&self, stamp: Stamp) -> bool {
        self.resized > stamp
    }

    /// The pixels of `columns` in `row`, each `0x00RRGGBB`; those that are not in the picture are left out.
    #[must_use]
    pub fn row(&self, row: u16, columns: Range<u16>) -> &[u32] {
        let width = usize::from(self.width);
        let start = usize::from(row) * width;
        let line = self.pixels.get(start..start + width).unwrap_or_default();
        let end = usize::from(columns.end).min(line.len());
        line.get(usize::from(columns.start)..end).unwrap_or_default()
    }

    /// The parts that have changed since `stamp`. They do not overlap: neighbouring tiles of a row are one part.
    #[must_use]
    pub fn changes_since(&self, stamp: Stamp) -> Vec<Rect> {
        let across = self.tiles_across();
        let mut changes = Vec::new();
        for (row, tiles) in self.tiles.chunks(across.max(1)).enumerate() {
            let mut column = 0;
            for run in tiles.chunk_by(|a, b| (*a > stamp) == (*b > stamp)) {
                if run[0] > stamp {
                    changes.push(self.rect(column..column + run.len(), row));
                }
                column += run.len();
            }
        }
        changes
    }

    /// Begins a refresh of a picture of this size. If the size differs from the one before, all of the picture has changed.
    pub fn begin(&mut self, width: u16, height: u16) {
        self.now = Stamp(self.now.0 + 1);
        if (width, height) == (self.width, self.height) {
            return;
        }
        (self.width, self.height) = (width, height);
        self.pixels.clear();
        self.pixels.resize(usize::from(width) * usize::from(height), 0);
        self.tiles.clear();
        let tiles = self.tiles_across() * usize::from(height).div_ceil(TILE);
        self.tiles.resize(tiles, self.now);
        self.resized = self.now;
    }

    /// Draws `pixels`, each `0x00RRGGBB`, from the left edge of a row on, and records which tiles they change. Pixels outside of the
    /// picture are left out.
    pub fn draw_row(&mut self, row: u16, pixels: &[u32]) {
        let (width, row) = (usize::from(self.width), usize::from(row));
        let Some(line) = self.pixels.get_mut(row * width..(row + 1) * width) else { return };
        let first = row / TILE * width.div_ceil(TILE);
        for ((old, new), tile) in line.chunks_mut(TILE).zip(pixels.chunks(TILE)).zip(&mut self.tiles[first..])
        {
            let len = old.len().min(new.len());
            let (old, new) = (&mut old[..len], &new[..len]);
            if old != new {
                old.copy_from_slice(new);
                *tile = self.now;
            }
        }
    }

    fn tiles_across(&self) -> usize {
        usize::from(self.width).div_ceil(TILE)
    }

    /// The pixels of some neighbouring tiles in a row of tiles.
    fn rect(&self, columns: Range<usize>, row: usize) -> Rect {
        let pixels = |tile: usize, end: u16| u16::try_from(tile * TILE).unwrap_or(u16::MAX).min(end);
        let (x, y) = (pixels(columns.start, self.width), pixels(row, self.height));
        let (right, bottom) = (pixels(columns.end, self.width), pixels(row + 1, self.height));
        Rect { x, y, width: right - x, height: bottom - y }
    }
}

#[cfg(test)]
#[path = "picture_test.rs"]
mod tests;
