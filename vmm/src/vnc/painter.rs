//! Updates of a viewer's picture: RFC 6143, "FramebufferUpdate".

use std::{
    fmt,
    io::{self, Write},
    mem,
};

use devices::display::{Picture, Rect, Screen, Stamp};
use flate2::{Compression, write::ZlibEncoder};

use super::{
    pixels::{Converter, PixelFormat},
    zrle,
};

/// The size shown for a screen without a picture.
const EMPTY: (u16, u16) = (640, 480);
/// Buffers larger than this are freed after each update.
pub(super) const KEPT: usize = 1 << 20;
const RAW: i32 = 0;
const ZLIB: i32 = 6;
const ZRLE: i32 = 16;
const DESKTOP_SIZE: i32 = -223;
const EXTENDED_KEYS: i32 = -258;
const EXTENDED_DESKTOP_SIZE: i32 = -308;
/// The reasons and statuses of `ExtendedDesktopSize`, from the community's document.
const BY_SERVER: u16 = 0;
const BY_THIS_VIEWER: u16 = 1;
const DONE: u16 = 0;
const PROHIBITED: u16 = 1;

/// The form of a rectangle's pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Encoding {
    #[default]
    Raw,
    Zlib,
    Zrle,
}

/// The way to inform a viewer of the screen's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sizes {
    /// Not at all: it sees only the part that fits.
    #[default]
    Fixed,
    /// `DesktopSize`.
    Simple,
    /// `ExtendedDesktopSize`.
    Extended,
}

/// A viewer's request for an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// An area to send even if it has not changed.
    all_of: Option<Rect>,
}

impl Request {
    /// Adds an area to send even if it has not changed. The result is the rectangle around all such areas.
    pub(super) fn add(&mut self, area: Rect) {
        let Some(before) = self.all_of else {
            self.all_of = Some(area);
            return;
        };
        let span = |a: u16, a_len: u16, b: u16, b_len: u16| {
            let start = a.min(b);
            (start, a.saturating_add(a_len).max(b.saturating_add(b_len)) - start)
        };
        let (x, width) = span(before.x, before.width, area.x, area.width);
        let (y, height) = span(before.y, before.height, area.y, area.height);
        self.all_of = Some(Rect { x, y, width, height });
    }
}

/// A viewer's picture, and the pending information about it.
pub(super) struct Painter {
    /// Width and height of the viewer's picture.
    size: (u16, u16),
    /// The stamp of the last update.
    seen: Stamp,
    converter: Converter,
    encoding: Encoding,
    sizes: Sizes,
    /// `ExtendedDesktopSize`'s reason and status to send; for `DesktopSize` the values don't matter.
    tell_size: Option<(u16, u16)>,
    tell_extended_keys: bool,
    /// The compression streams, which continue from one rectangle to the next.
    zlib: Option<ZlibEncoder<Vec<u8>>>,
    zrle: Option<ZlibEncoder<Vec<u8>>>,
    pixels: Vec<u32>,
    raw: Vec<u8>,
}

impl Painter {
    /// A viewer that has received nothing yet.
    pub(super) fn new(screen: &dyn Screen) -> Self {
        let mut size = EMPTY;
        screen.look(&mut |picture| size = shown(picture));
        Self {
            size,
            seen: Stamp::default(),
            converter: Converter::new(PixelFormat::default()),
            encoding: Encoding::default(),
            sizes: Sizes::default(),
            tell_size: None,
            tell_extended_keys: false,
            zlib: None,
            zrle: None,
            pixels: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// The width and height that the viewer knows.
    pub(super) fn size(&self) -> (u16, u16) {
        self.size
    }

    /// Uses this form of pixels from now on.
    pub(super) fn set_format(&mut self, format: PixelFormat) {
        self.converter = Converter::new(format);
    }

    /// Takes the list of encodings and pseudo-encodings. The first supported encoding is used.
    pub(super) fn set_encodings(&mut self, list: &[i32]) {
        let encodings = list.iter().find_map(|encoding| match *encoding {
            RAW => Some(Encoding::Raw),
            ZLIB => Some(Encoding::Zlib),
            ZRLE => Some(Encoding::Zrle),
            _ => None,
        });
        self.encoding = encodings.unwrap_or_default();
        self.sizes = if list.contains(&EXTENDED_DESKTOP_SIZE) {
            Sizes::Extended
        } else if list.contains(&DESKTOP_SIZE) {
            Sizes::Simple
        } else {
            Sizes::Fixed
        };
        // By this the viewer learns that the server supports the extension.
        self.tell_size = (self.sizes == Sizes::Extended).then_some((BY_SERVER, DONE));
        self.tell_extended_keys = list.contains(&EXTENDED_KEYS);
    }

    /// Refuses the request for another size, which only the guest decides.
    pub(super) fn refuse_size(&mut self) {
        if self.sizes == Sizes::Extended {
            self.tell_size = Some((BY_THIS_VIEWER, PROHIBITED));
        }
    }

    /// Appends an update, if there is anything new, and returns whether there was. It includes changes outside of the requested area, as in
    /// QEMU, because a single stamp records everything that was sent.
    ///
    /// # Errors
    ///
    /// The pixels can't be compressed.
    pub(super) fn paint(
        &mut self,
        screen: &dyn Screen,
        request: Request,
        to: &mut Vec<u8>,
    ) -> io::Result<bool> {
        if self.sizes == Sizes::Extended && request.all_of.is_some() {
            self.tell_size.get_or_insert((BY_SERVER, DONE));
        }
        let mut rects = Vec::new();
        let mut pixels = mem::take(&mut self.pixels);
        pixels.clear();
        // Only copy here, as other threads wait meanwhile.
        screen.look(&mut |picture| {
            rects = self.rects(picture, request);
            rects.iter().for_each(|rect| copy(picture, *rect, &mut pixels));
            self.seen = picture.stamp();
        });
        let begin = to.len();
        if let Some((reason, status)) = self.tell_size.take() {
            self.put_size(reason, status, to);
        }
        let extended_keys = mem::take(&mut self.tell_extended_keys);
        let count = rects.len() + usize::from(extended_keys);
        if count > 0 {
            put_update(count, to)?;
        }
        if extended_keys {
            put_rect(self.whole(), EXTENDED_KEYS, to);
        }
        let mut rest = &pixels[..];
        for rect in rects {
            let (these, others) = rest.split_at(usize::from(rect.width) * usize::from(rect.height));
            self.put_pixels(rect, these, to)?;
            rest = others;
        }
        self.pixels = pixels;
        self.pixels.clear();
        self.pixels.shrink_to(KEPT);
        self.raw.shrink_to(KEPT);
        Ok(to.len() > begin)
    }

    /// The rectangles to send so that the viewer's picture is current.
    fn rects(&mut self, picture: &Picture, request: Request) -> Vec<Rect> {
        let resized = picture.is_resized_since(self.seen);
        if self.size != shown(picture) && self.sizes != Sizes::Fixed {
            self.size = shown(picture);
            self.tell_size = Some((BY_SERVER, DONE));
            return vec![self.whole()];
        }
        if resized {
            return vec![self.whole()];
        }
        let wanted = request.all_of.and_then(|area| clipped(area, self.size));
        let changes = picture.changes_since(self.seen).into_iter();
        let changes = changes.filter_map(|rect| clipped(rect, self.size));
        let changes = changes.filter(|rect| wanted.is_none_or(|area| !holds(area, *rect)));
        joined(changes).into_iter().chain(wanted).collect()
    }

    fn whole(&self) -> Rect {
        let (width, height) = self.size;
        Rect { x: 0, y: 0, width, height }
    }

    /// An update with only the size: pixels are not allowed beside it.
    fn put_size(&self, reason: u16, status: u16, to: &mut Vec<u8>) {
        let (width, height) = self.size;
        to.extend([0, 0, 0, 1]);
        if self.sizes != Sizes::Extended {
            return put_rect(self.whole(), DESKTOP_SIZE, to);
        }
        let rect = Rect { x: reason, y: status, width, height };
        put_rect(rect, EXTENDED_DESKTOP_SIZE, to);
        // One screen, of ID 0, at 0, 0, without flags.
        to.extend([1, 0, 0, 0]);
        to.extend([0; 4]);
        [0, 0, width, height].iter().for_each(|number| to.extend(number.to_be_bytes()));
        to.extend([0; 4]);
    }

    fn put_pixels(&mut self, rect: Rect, pixels: &[u32], to: &mut Vec<u8>) -> io::Result<()> {
        let raw = &mut self.raw;
        raw.clear();
        let (encoding, stream) = match self.encoding {
            Encoding::Raw => {
                put_rect(rect, RAW, to);
                self.converter.append(pixels, to);
                return Ok(());
            }
            Encoding::Zlib => {
                self.converter.append(pixels, raw);
                (ZLIB, &mut self.zlib)
            }
            Encoding::Zrle => {
                zrle::tiles(pixels, rect.width.into(), &self.converter, raw);
                (ZRLE, &mut self.zrle)
            }
        };
        put_rect(rect, encoding, to);
        let stream = stream.get_or_insert_with(|| ZlibEncoder::new(Vec::new(), Compression::fast()));
        stream.write_all(raw)?;
        stream.flush()?;
        let packed = stream.get_mut();
        to.extend(u32::try_from(packed.len()).map_err(io::Error::other)?.to_be_bytes());
        to.append(packed);
        packed.shrink_to(KEPT);
        Ok(())
    }
}

impl fmt::Debug for Painter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Painter").field("size", &self.size).field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// The size in which a picture is shown.
fn shown(picture: &Picture) -> (u16, u16) {
    match picture.size() {
        (0, _) | (_, 0) => EMPTY,
        size => size,
    }
}

/// The part of `rect` within a picture of `size`.
fn clipped(Rect { x, y, width, height }: Rect, size: (u16, u16)) -> Option<Rect> {
    let width = width.min(size.0.saturating_sub(x));
    let height = height.min(size.1.saturating_sub(y));
    (width > 0 && height > 0).then_some(Rect { x, y, width, height })
}

/// Returns whether all of `inner` is in `outer`; both are within a picture.
fn holds(outer: Rect, inner: Rect) -> bool {
    let within = |at: u16, len: u16, inner_at: u16, inner_len: u16| {
        at <= inner_at && u32::from(inner_at) + u32::from(inner_len) <= u32::from(at) + u32::from(len)
    };
    within(outer.x, outer.width, inner.x, inner.width) && within(outer.y, outer.height, inner.y, inner.height)
}

/// Joins rectangles that are directly below each other. The rectangles are sorted from top to bottom. Fewer rectangles save twelve bytes
/// each, and compress better.
fn joined(rects: impl Iterator<Item = Rect>) -> Vec<Rect> {
    let mut joined: Vec<Rect> = Vec::new();
    // The indexes of the rectangles in the previous row of tiles, and in this one.
    let (mut above, mut here) = (Vec::new(), Vec::new());
    let mut row = None;
    for rect in rects {
        if row.replace(rect.y) != Some(rect.y) {
            above = mem::take(&mut here);
        }
        let grows = |at: &&usize| {
            let Rect { x, y, width, height } = joined[**at];
            (x, width, y + height) == (rect.x, rect.width, rect.y)
        };
        let at = above.iter().find(grows).copied();
        match at {
            Some(at) => joined[at].height += rect.height,
            None => joined.push(rect),
        }
        here.push(at.unwrap_or(joined.len() - 1));
    }
    joined
}

/// Appends the pixels of `rect`, black outside of the picture.
fn copy(picture: &Picture, Rect { x, y, width, height }: Rect, to: &mut Vec<u32>) {
    for row in y..y + height {
        let end = to.len() + usize::from(width);
        to.extend(picture.row(row, x..x + width));
        to.resize(end, 0);
    }
}

fn put_update(rects: usize, to: &mut Vec<u8>) -> io::Result<()> {
    to.extend([0, 0]);
    to.extend(u16::try_from(rects).map_err(io::Error::other)?.to_be_bytes());
    Ok(())
}

fn put_rect(Rect { x, y, width, height }: Rect, encoding: i32, to: &mut Vec<u8>) {
    [x, y, width, height].iter().for_each(|number| to.extend(number.to_be_bytes()));
    to.extend(encoding.to_be_bytes());
}

#[cfg(test)]
#[path = "painter_test.rs"]
mod tests;
