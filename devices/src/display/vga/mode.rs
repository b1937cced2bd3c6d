//! The modes that a picture is drawn of, as the registers say them.

/// The mode of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing: it is black.
    Blank,
    /// Characters.
    Text(Box<Text>),
    /// A linear frame buffer in video memory; without a palette, pixels are colours.
    Linear(Linear, Option<Palette>),
    /// 320 by 200 pixels of 256 colours in the first 64 KiB, each shown as four.
    Chained(Chained, Palette),
    /// Pixels whose bits lie in planes, which are not drawn.
    Planar,
    /// Text whose memory is switched to another window, as it is while a font is loaded.
    Loading,
}

/// The colours of pixels that are numbers, `0x00RRGGBB`.
pub(super) type Palette = Box<[u32; 256]>;

/// Characters with attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) columns: u16,
    pub(super) rows: u16,
    /// A character's size in pixels: a width of 8 or 9, and a height from 1 to 32.
    pub(super) width: u16,
    pub(super) height: u16,
    /// The window of memory that characters are in, by its offset.
    pub(super) window: usize,
    /// The offset of the first character in it.
    pub(super) start: usize,
    /// Bytes from one row to the next.
    pub(super) pitch: usize,
    pub(super) cursor: Option<Cursor>,
    /// The colours of attributes, `0x00RRGGBB`.
    pub(super) colors: [u32; 16],
    /// The offsets of the fonts of characters whose attribute's bit 3 is clear, and set.
    pub(super) fonts: [usize; 2],
    /// An attribute's bit 7 has the character blink, and is no colour.
    pub(super) blink: bool,
    /// The ninth column of a line graphics character is as its eighth.
    pub(super) line_graphics: bool,
}

/// The cursor, a block of lines of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The offset of its character in the window.
    pub(super) at: usize,
    /// Its first line, and its last.
    pub(super) first: u16,
    pub(super) last: u16,
}

/// Rows of pixels in video memory, which may reach past its end.
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

/// Rows of pixels of a byte each, which wrap in their 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chained {
    pub(super) start: usize,
    pub(super) pitch: usize,
}

/// The form of a pixel in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A number of a colour.
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
