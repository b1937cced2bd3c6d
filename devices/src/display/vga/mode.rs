//! The modes in which a picture is drawn, as set by the registers.

/// The mode of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A black screen.
    Blank,
    /// Characters.
    Text(Box<Text>),
    /// A linear frame buffer in video memory. Without a palette, pixels are colours.
    Linear(Linear, Option<Palette>),
    /// 320 by 200 pixels of 256 colours in the first 64 KiB, each drawn as four pixels.
    Chained(Chained, Palette),
    /// Pixels whose bits lie in planes. Such modes are not drawn.
    Planar,
    /// Text, while its memory is mapped to another window, as when a font is loaded.
    Loading,
}

/// The colours for pixels that are colour numbers, `0x00RRGGBB`.
pub(super) type Palette = Box<[u32; 256]>;

/// Characters with attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) columns: u16,
    pub(super) rows: u16,
    /// A character's size in pixels: the width is 8 or 9, the height 1 to 32.
    pub(super) width: u16,
    pub(super) height: u16,
    /// The offset of the memory window that holds the characters.
    pub(super) window: usize,
    /// The offset of the first character in the window.
    pub(super) start: usize,
    /// Bytes from one row to the next.
    pub(super) pitch: usize,
    pub(super) cursor: Option<Cursor>,
    /// The colours of attributes, `0x00RRGGBB`.
    pub(super) colors: [u32; 16],
    /// The offsets of the two fonts: for characters whose attribute has bit 3 clear, and for those that have it set.
    pub(super) fonts: [usize; 2],
    /// Bit 7 of an attribute makes the character blink, and is no part of the colour.
    pub(super) blink: bool,
    /// The ninth column of a line graphics character repeats its eighth.
    pub(super) line_graphics: bool,
}

/// The cursor, a block of lines of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The offset in the window of the character below it.
    pub(super) at: usize,
    /// The first and its last line.
    pub(super) first: u16,
    pub(super) last: u16,
}

/// Rows of pixels in video memory. They may reach past its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Linear {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) format: Format,
    /// The offset of the first pixel.
    pub(super) start: usize,
    /// Bytes from one row to the next.
    pub(super) pitch: usize,
}

/// Rows of pixels of one byte each, which wrap around at the end of 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chained {
    pub(super) start: usize,
    pub(super) pitch: usize,
}

/// The form of a pixel in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A colour number.
    Indexed,
    Rgb555,
    Rgb565,
    Rgb888,
    Xrgb8888,
}

impl Format {
    /// The format of pixels with `bpp` bits.
    pub(super) fn of(bpp: u16) -> Option<Self> {
        Some(match bpp {
            8 => Self::Indexed,
            15 => Self::Rgb555,
            16 => Self::Rgb565,
            24 => Self::Rgb888,
            32 => Self::Xrgb8888,
            _ => return None,
        })
    }

    /// Bytes of a pixel.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Indexed => 1,
            Self::Rgb555 | Self::Rgb565 => 2,
            Self::Rgb888 => 3,
            Self::Xrgb8888 => 4,
        }
    }
}
