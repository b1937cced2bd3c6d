//! A screen, a keyboard and a viewer for tests.

use std::sync::{Arc, Mutex};

use devices::{
    display::{Picture, Screen},
    input::{Input, Key, Pointer},
};
use flate2::{Decompress, FlushDecompress};

use super::{authentication::Password, session::Subject};

/// A screen that a test draws on.
#[derive(Debug, Default)]
pub(super) struct TestScreen(Mutex<Picture>);

impl TestScreen {
    /// Sets the screen to this size, and each pixel to the value of `pixel`.
    pub(super) fn draw(&self, (width, height): (u16, u16), pixel: impl Fn(u16, u16) -> u32) {
        let mut picture = self.0.lock().unwrap();
        picture.begin(width, height);
        for y in 0..height {
            let row: Vec<_> = (0..width).map(|x| pixel(x, y)).collect();
            picture.draw_row(y, &row);
        }
    }

    /// The pixels of a picture of this size.
    pub(super) fn pixels(&self, (width, height): (u16, u16)) -> Vec<u32> {
        let picture = self.0.lock().unwrap();
        (0..height)
            .flat_map(|y| {
                let mut row = picture.row(y, 0..width).to_vec();
                row.resize(width.into(), 0);
                row
            })
            .collect()
    }
}

impl Screen for TestScreen {
    fn look(&self, look: &mut dyn FnMut(&Picture)) {
        look(&self.0.lock().unwrap());
    }
}

/// A key or a pointer event that arrived at the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Key(u8, bool),
    Pointer(Pointer),
}

/// The guest's end of keyboard and pointer.
#[derive(Debug, Default)]
pub(super) struct TestInput(Mutex<Vec<Heard>>);

impl TestInput {
    /// Takes the events that have arrived.
    pub(super) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Input for TestInput {
    fn key(&self, Key(code): Key, pressed: bool) {
        self.0.lock().unwrap().push(Heard::Key(code, pressed));
    }

    fn pointer(&self, pointer: Pointer) {
        self.0.lock().unwrap().push(Heard::Pointer(pointer));
    }
}

/// A machine for viewers.
pub(super) fn subject(screen: &Arc<TestScreen>, input: &Arc<TestInput>, password: Option<&str>) -> Subject {
    Subject {
        name: "a machine".to_owned(),
        password: password.map(|password| Password::new(password.as_bytes())),
        screen: Arc::clone(screen) as Arc<dyn Screen>,
        input: Arc::clone(input) as Arc<dyn Input>,
        caps_lock: Arc::default(),
    }
}

/// A rectangle of an update, from its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) at: [u16; 4],
    pub(super) encoding: i32,
}

/// The picture of a viewer that uses the server's own pixel format.
pub(super) struct TestViewer {
    pub(super) size: (u16, u16),
    pub(super) pixels: Vec<u32>,
    zlib: Decompress,
    zrle: Decompress,
}

impl TestViewer {
    pub(super) fn new(size: (u16, u16)) -> Self {
        let pixels = vec![0xdead_beef; usize::from(size.0) * usize::from(size.1)];
        Self { size, pixels, zlib: Decompress::new(true), zrle: Decompress::new(true) }
    }

    /// Takes the update at the beginning of `bytes`, if it is complete, and returns its rectangles and its length.
    pub(super) fn update(&mut self, bytes: &[u8]) -> Option<(Vec<Told>, usize)> {
        let mut reader = Reader { bytes, at: 0 };
        let [kind, _, high, low] = reader.take(4)?.try_into().unwrap();
        assert_eq!(kind, 0, "it is an update");
        let (mut rects, mut told) = (Vec::new(), Vec::new());
        for _ in 0..u16::from_be_bytes([high, low]) {
            let at = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
            let encoding = i32::from_be_bytes(reader.take(4)?.try_into().unwrap());
            let pixels = usize::from(at[2]) * usize::from(at[3]);
            let data = match encoding {
                0 => reader.take(4 * pixels)?,
                6 | 16 => {
                    let len = u32::from_be_bytes(reader.take(4)?.try_into().unwrap());
                    reader.take(len as usize)?
                }
                -308 => reader.take(20)?,
                -223 | -258 => &[],
                other => panic!("encoding {other}"),
            };
            rects.push(data);
            told.push(Told { at, encoding });
        }
        // The update is complete, so the streams can continue.
        for (Told { at: [x, y, width, height], encoding }, data) in told.iter().zip(rects) {
            if matches!(encoding, -223 | -308) {
                self.size = (*width, *height);
                self.pixels = vec![0xdead_beef; usize::from(*width) * usize::from(*height)];
                continue;
            }
            let (width, height) = (usize::from(*width), usize::from(*height));
            let pixels = match encoding {
                0 => words(data),
                6 => words(&inflate(&mut self.zlib, data, 4 * width * height)),
                16 => unpack(&inflate(&mut self.zrle, data, 5 * width * height + 4096), width, height),
                _ => continue,
            };
            for (row, pixels) in pixels.chunks(width).enumerate() {
                let start = (usize::from(*y) + row) * usize::from(self.size.0) + usize::from(*x);
                self.pixels[start..start + width].copy_from_slice(pixels);
            }
        }
        Some((told, reader.at))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at + len)?;
        self.at += len;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().unwrap()))
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

/// The next bytes of a stream, at most `most`.
fn inflate(stream: &mut Decompress, data: &[u8], most: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(most + 16);
    let before = stream.total_in();
    stream.decompress_vec(data, &mut bytes, FlushDecompress::Sync).unwrap();
    assert_eq!(stream.total_in() - before, data.len() as u64, "all of it is used");
    bytes
}

/// The pixels of ZRLE's tiles, according to the text of the RFC.
pub(super) fn unpack(bytes: &[u8], width: usize, height: usize) -> Vec<u32> {
    let mut bytes = bytes.iter().copied();
    let mut pixels = vec![0xdead_beef; width * height];
    let mut next = || bytes.next().expect("there is more of it");
    for top in (0..height).step_by(64) {
        for left in (0..width).step_by(64) {
            let kind = next();
            assert!(kind <= 16, "no other kind is made: {kind}");
            let palette: Vec<_> =
                (0..kind).map(|_| u32::from_le_bytes([next(), next(), next(), 0])).collect();
            let bits = match kind {
                0 | 1 => 0,
                2 => 1,
                3 | 4 => 2,
                _ => 4,
            };
            for y in top..height.min(top + 64) {
                let (mut packed, mut left_over) = (0, 0);
                for x in left..width.min(left + 64) {
                    pixels[y * width + x] = match kind {
                        0 => u32::from_le_bytes([next(), next(), next(), 0]),
                        1 => palette[0],
                        _ => {
                            if left_over == 0 {
                                (packed, left_over) = (next(), 8);
                            }
                            left_over -= bits;
                            palette[usize::from(packed >> left_over & ((1 << bits) - 1))]
                        }
                    };
                }
            }
        }
    }
    assert_eq!(bytes.next(), None, "all of it is read");
    pixels
}
