//! A viewer of level 1's screen by VNC, according to RFC 6143: it takes raw pixels, and types.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::level1::PATIENCE;
use crate::screen::{Font, Pixels};

/// RFC 6143, "DesktopSize Pseudo-Encoding".
const DESKTOP_SIZE: i32 = -223;
/// X's keysym of the Return key.
const RETURN: u16 = 0xff0d;
/// The time between attempts to connect to a server that doesn't exist yet.
const PAUSE: Duration = Duration::from_millis(100);

/// The width of a character in text mode, which includes an empty column.
const STRIDE: usize = 9;
/// The bytes of a character in the BIOS's font.
const HEIGHT: usize = 16;

/// A connected viewer.
#[derive(Debug)]
pub(crate) struct Viewer {
    stream: TcpStream,
    pixels: Pixels,
}

impl Viewer {
    /// Waits for a server without a password, as long as `is_up` returns that there may be one.
    pub(crate) fn connect(
        address: SocketAddr,
        is_up: &mut dyn FnMut() -> io::Result<bool>,
    ) -> anyhow::Result<Self> {
        let mut stream = loop {
            match TcpStream::connect(address) {
                Ok(stream) => break stream,
                Err(error) if !is_up()? => return Err(error).with_context(|| format!("reaching {address}")),
                Err(_) => thread::sleep(PAUSE),
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let version = read::<12>(&mut stream)?;
        ensure!(&version == b"RFB 003.008\n", "it is no VNC server: {version:?}");
        stream.write_all(&version)?;
        let security = read::<2>(&mut stream)?;
        ensure!(security == [1, 1], "its security types are {security:?}, not None alone");
        stream.write_all(&[1])?;
        let result = read::<4>(&mut stream)?;
        ensure!(result == [0; 4], "it refuses with {result:?}");
        // Share the screen with other viewers.
        stream.write_all(&[1])?;
        let init = read::<24>(&mut stream)?;
        let [width, height] = [[init[0], init[1]], [init[2], init[3]]].map(u16::from_be_bytes);
        ensure!(init[4..8] == [32, 24, 0, 1], "its pixels are not true colours of 32 bits: {init:?}");
        let name = u64::from(u32::from_be_bytes([init[20], init[21], init[22], init[23]]));
        io::copy(&mut (&stream).take(name), &mut io::sink())?;
        let encodings = [0, DESKTOP_SIZE].map(i32::to_be_bytes).concat();
        stream.write_all(&[&[2, 0, 0, 2], &encodings[..]].concat())?;
        Ok(Self { stream, pixels: Pixels::black(width.into(), height.into()) })
    }

    /// Requests updates until `is_right` accepts the rows of text.
    pub(crate) fn until(
        &mut self,
        font: &Font,
        mut is_right: impl FnMut(&[String]) -> bool,
    ) -> anyhow::Result<()> {
        let mut rows = Vec::new();
        loop {
            self.update().with_context(|| format!("looking at {rows:#?}"))?;
            rows = self.pixels.text_by(font);
            rows.retain(|row| !row.is_empty());
            if is_right(&rows) {
                return Ok(());
            }
        }
    }

    /// Types, and waits after each character until a row shows it. An emulated keyboard buffers only a few.
    pub(crate) fn types(&mut self, font: &Font, prompt: &str, text: &str) -> anyhow::Result<()> {
        for (at, character) in text.bytes().enumerate() {
            self.key(character.into())?;
            if character != b' ' {
                let seen = format!("{prompt} {}", &text[..=at]);
                self.until(font, |rows| rows.iter().any(|row| row.starts_with(&seen)))?;
            }
        }
        self.key(RETURN)
    }

    /// Types without waiting.
    pub(crate) fn types_unseen(&mut self, text: &str) -> anyhow::Result<()> {
        text.bytes().try_for_each(|character| self.key(character.into()))?;
        self.key(RETURN)
    }

    /// Moves the pointer to this position in the picture.
    pub(crate) fn points(&mut self, (x, y): (u16, u16)) -> anyhow::Result<()> {
        let ([a, b], [c, d]) = (x.to_be_bytes(), y.to_be_bytes());
        self.stream.write_all(&[5, 0, a, b, c, d]).context("pointing")
    }

    fn key(&mut self, keysym: u16) -> anyhow::Result<()> {
        let [high, low] = keysym.to_be_bytes();
        for pressed in [1, 0] {
            self.stream.write_all(&[4, pressed, 0, 0, 0, 0, high, low]).context("typing")?;
        }
        Ok(())
    }

    /// Waits for a change.
    fn update(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&[3, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])?;
        let [kind, _, high, low] = read(&mut self.stream)?;
        ensure!(kind == 0, "a message of the type {kind}");
        (0..u16::from_be_bytes([high, low])).try_for_each(|_| self.rectangle())
    }

    fn rectangle(&mut self) -> anyhow::Result<()> {
        let head = read::<12>(&mut self.stream)?;
        let number = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
        let [x, y, width, height] = [number(0), number(2), number(4), number(6)];
        match i32::from_be_bytes([head[8], head[9], head[10], head[11]]) {
            0 => {
                for line in y..y + height {
                    let mut bytes = vec![0; 4 * width];
                    self.stream.read_exact(&mut bytes)?;
                    let colours =
                        bytes.as_chunks().0.iter().flat_map(|[blue, green, red, _]| [*red, *green, *blue]);
                    self.pixels.put(x, line, &colours.collect::<Vec<u8>>())?;
                }
            }
            DESKTOP_SIZE => self.pixels = Pixels::black(width, height),
            other => bail!("encoding {other}"),
        }
        Ok(())
    }
}

/// The font of text mode, from the BIOS's option ROM for the VGA. Its characters are in order; the first is blank, and the second is a
/// face.
pub(crate) fn font(rom: &str) -> anyhow::Result<Font> {
    const FACE: [u8; HEIGHT] = [0, 0, 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e, 0, 0, 0, 0];
    let bytes = fs::read(rom).with_context(|| format!("reading {rom}"))?;
    let start = [[0; HEIGHT], FACE].concat();
    let at = bytes.windows(start.len()).position(|window| window == start);
    let glyphs =
        at.and_then(|at| bytes.get(at..at + 256 * HEIGHT)).with_context(|| format!("no font in {rom}"))?;
    Ok(Font::of_bits(STRIDE, glyphs))
}

fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "viewer_test.rs"]
mod tests;
