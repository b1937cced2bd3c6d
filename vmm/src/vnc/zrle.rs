//! RFC 6143, "ZRLE Encoding": tiles with a single colour, a palette or plain pixels, which zlib then compresses. Run-length encoding is
//! left to zlib.
//!
//! The crate `rfb-encodings` also implements it, along with ten other encodings; this module is shorter than the code it would add.

use super::pixels::Converter;

/// The width and height of a tile in pixels.
const TILE: usize = 64;
/// The most colours of a palette whose indexes are packed.
const MOST_COLOURS: usize = 16;

/// Appends the tiles of a rectangle of `pixels`, `width` in each row, uncompressed.
pub(super) fn tiles(pixels: &[u32], width: usize, converter: &Converter, to: &mut Vec<u8>) {
    let rows: Vec<_> = pixels.chunks(width.max(1)).collect();
    let mut tile = Vec::with_capacity(TILE * TILE);
    for rows in rows.chunks(TILE) {
        for left in (0..width).step_by(TILE) {
            let right = width.min(left + TILE);
            tile.clear();
            rows.iter().for_each(|row| tile.extend(&row[left..right]));
            append(&tile, right - left, converter, to);
        }
    }
}

/// Appends a tile.
fn append(tile: &[u32], width: usize, converter: &Converter, to: &mut Vec<u8>) {
    let Some(palette) = palette(tile) else {
        to.push(0);
        return converter.append_compact(tile, to);
    };
    to.push(u8::try_from(palette.len()).unwrap_or_default());
    converter.append_compact(&palette, to);
    let bits = match palette.len() {
        // The whole tile has this colour.
        ..=1 => return,
        2 => 1,
        3..=4 => 2,
        _ => 4,
    };
    let index = |pixel: &u32| palette.iter().position(|colour| colour == pixel).unwrap_or_default();
    for row in tile.chunks(width) {
        for pixels in row.chunks(8 / bits) {
            let packed = pixels.iter().fold(0, |packed, pixel| packed << bits | index(pixel));
            // The first pixel is in the highest bits, and the last byte of a row is padded.
            let packed = packed << (bits * (8 / bits - pixels.len()));
            to.push(u8::try_from(packed).unwrap_or_default());
        }
    }
}

/// The colours of a tile, unless there are too many.
fn palette(tile: &[u32]) -> Option<Vec<u32>> {
    let mut palette = Vec::new();
    let mut last = None;
    for &pixel in tile {
        if last.replace(pixel) == Some(pixel) || palette.contains(&pixel) {
            continue;
        }
        if palette.len() == MOST_COLOURS {
            return None;
        }
        palette.push(pixel);
    }
    Some(palette)
}

#[cfg(test)]
#[path = "zrle_test.rs"]
mod tests;
