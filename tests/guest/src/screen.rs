//! Linux on the screen: level 1 writes on its first virtual terminal, and level 0 reads the text from the picture that nvmm saves.

use std::fs::{self, OpenOptions};
use std::io::{Cursor, Write};
use std::process::Command;
use std::thread;

use anyhow::{Context, bail, ensure};
use png::{ColorType, Decoder};
use vmm::nest::image::{self, Manifest, Memfd};
use vmm::nest::pid1::Pid1;
use vmm::nest::report::Said;

use crate::kernel_log::{self, Message};
use crate::legacy::load;
use crate::level0::{Guest, NVMM};
use crate::level1::PATIENCE;
use crate::pictures;
use crate::scenario::{self, Record};

/// The test.
pub(crate) const NAME: &str = "L1's Linux writes on the screen";

/// Linux's driver of the device, with the modules that it needs, in load order.
pub(crate) const DRIVER: &str = "bochs";
pub(crate) const MODULES: [&str; 6] =
    ["drm", "drm_kms_helper", "ttm", "drm_ttm_helper", "drm_vram_helper", DRIVER];
/// The names of the frame buffers: with that driver, and of the one that the kernel itself finds.
const DRIVERS: &str = "bochs-drmdrmfb";
const FOUND: &str = "EFI VGA";

/// nvmm's control socket, and its options.
const SOCKET: &str = "/screen-qmp";
pub(crate) const OPTIONS: [&str; 4] = ["--display", "vga", "--qmp", SOCKET];
/// The kernel's messages also go to the screen until level 1 clears it; its font is the same for any size.
const PARAMETERS: &str = "console=tty0 console=ttyS0 fbcon=font:VGA8x16";

/// Level 1's message that it has written.
const WRITTEN: &str = "lab: it is on the screen";
/// Clears the screen and hides the cursor.
const CLEAR: &str = "\x1b[2J\x1b[H\x1b[?25l";
/// The third row; the first has all characters.
const WORDS: &str = "Written by Linux, and read from the picture";
const TERMINAL: &str = "/dev/tty1";

/// The kernel's own messages have priorities up to 7, and warnings up to this one.
const WARNING: u32 = 4;
/// Parts of messages about the screen. On a busy host the kernel also warns about its clocks.
const ABOUT: [&str; 6] = ["bochs", "console", "drm", "fb", "pci", "vga"];

/// The characters of a font, in the order of the first row, and the size of each.
const CHARACTERS: std::ops::RangeInclusive<u8> = b' '..=b'~';
const WIDTH: usize = 8;
const HEIGHT: usize = 16;

/// Level 0: makes level 1 write, and reads the text.
pub(crate) fn run(pid1: &mut Pid1, image: &Memfd) -> anyhow::Result<()> {
    let guest = Guest {
        scenario: scenario::SCREEN,
        parameters: PARAMETERS,
        // With XSAVE, Linux warns of mismatched sizes on QEMU's CPU, also on level 0.
        cpu: "host-passthrough,-xsave",
        options: OPTIONS.to_vec(),
        ..Guest::default()
    };
    let mut taken = None;
    let mut hear = |text: &str, _| {
        if text == WRITTEN {
            taken = Some(Picture::take("linux.png")?);
            quit()?;
        }
        Ok(())
    };
    let record = guest.record(&pid1.manifest, image, &mut hear)?;
    let picture = taken.context("level 1 has not written")?;
    picture.show(pid1);
    let read = picture.pixels()?.text()?;
    let has_driver = pid1.manifest.files.contains(&Manifest::module(DRIVER));
    let expected = if has_driver { DRIVERS } else { FOUND };
    ensure!(
        record.framebuffer == expected,
        "level 1's frame buffer is {:?}, not {expected}",
        record.framebuffer
    );
    ensure!(record.warnings.is_empty(), "level 1's kernel warns: {:#?}", record.warnings);
    let rows: Vec<_> = read.iter().map(String::as_str).filter(|row| !row.is_empty()).collect();
    ensure!(rows.len() == 2 && rows[1] == WORDS, "the screen has {rows:#?}");
    Ok(())
}

/// Level 1: loads the driver, if there is one, and records the name of its frame buffer, and the kernel's warnings about it.
pub(crate) fn look(manifest: &Manifest, record: &mut Record) -> anyhow::Result<()> {
    load(manifest, &MODULES)?;
    let path = "/sys/class/graphics/fb0/name";
    let name = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    record.framebuffer = name.trim_end().to_owned();
    record.warnings = kernel_log::read()?.into_iter().filter_map(warning).collect();
    Ok(())
}

/// The text of a message, if it is a warning or worse, and about the screen.
fn warning(Message { priority, text }: Message) -> Option<String> {
    let lower = text.to_lowercase();
    (priority <= WARNING && ABOUT.iter().any(|word| lower.contains(word))).then_some(text)
}

/// Level 1: writes on the screen, and waits for its machine's end.
pub(crate) fn write(pid1: &mut Pid1) -> anyhow::Result<()> {
    let all: String = CHARACTERS.map(char::from).collect();
    OpenOptions::new()
        .write(true)
        .open(TERMINAL)
        .and_then(|mut terminal| terminal.write_all(format!("{CLEAR}{all}\r\n\n{WORDS}").as_bytes()))
        .with_context(|| format!("writing to {TERMINAL}"))?;
    pid1.say(Said::Text(WRITTEN.to_owned()));
    pid1.drain()?;
    thread::sleep(PATIENCE);
    bail!("the machine has not ended")
}

/// A picture that nvmm saved, as PNG.
pub(crate) struct Picture {
    name: &'static str,
    file: Vec<u8>,
}

impl Picture {
    /// Makes nvmm save it.
    pub(crate) fn take(name: &'static str) -> anyhow::Result<Self> {
        let path = format!("/{name}");
        ask(&["screendump", &path])?;
        let file = fs::read(&path).with_context(|| format!("reading {path}"))?;
        Ok(Self { name, file })
    }

    /// Makes the host save it.
    pub(crate) fn show(&self, pid1: &mut Pid1) {
        pictures::to_lines(self.name, &self.file).into_iter().for_each(|line| pid1.say(Said::Text(line)));
    }

    /// Reads it.
    pub(crate) fn pixels(&self) -> anyhow::Result<Pixels> {
        Pixels::read(&self.file).with_context(|| format!("reading {}", self.name))
    }
}

/// The pixels of a picture.
#[derive(Debug)]
pub(crate) struct Pixels {
    width: usize,
    /// The bytes of each row: three for a pixel.
    rows: Vec<Vec<u8>>,
}

impl Pixels {
    fn read(file: &[u8]) -> anyhow::Result<Self> {
        let mut reader = Decoder::new(Cursor::new(file)).read_info()?;
        ensure!(reader.info().color_type == ColorType::Rgb, "{:?}, not RGB", reader.info().color_type);
        let width = usize::try_from(reader.info().width)?;
        let mut rows = Vec::new();
        while let Some(row) = reader.next_row()? {
            rows.push(row.data().to_vec());
        }
        Ok(Self { width, rows })
    }

    /// Returns whether all pixels are equal.
    pub(crate) fn is_blank(&self) -> bool {
        let mut pixels = self.rows.iter().flat_map(|row| row.chunks_exact(3));
        let first = pixels.next();
        pixels.all(|pixel| Some(pixel) == first)
    }

    /// A black picture.
    pub(crate) fn black(width: usize, height: usize) -> Self {
        Self { width, rows: vec![vec![0; 3 * width]; height] }
    }

    /// Sets some pixels of a row.
    pub(crate) fn put(&mut self, x: usize, y: usize, bytes: &[u8]) -> anyhow::Result<()> {
        let row = self.rows.get_mut(y).and_then(|row| row.get_mut(3 * x..3 * x + bytes.len()));
        row.with_context(|| format!("{x},{y} is outside"))?.copy_from_slice(bytes);
        Ok(())
    }

    /// The rows of characters. The first row of the screen is the font for all of them.
    fn text(&self) -> anyhow::Result<Vec<String>> {
        let glyphs = CHARACTERS.enumerate().map(|(column, byte)| (self.cell(0, column, WIDTH), byte.into()));
        let font = Font { stride: WIDTH, glyphs: glyphs.collect() };
        for (at, (cell, character)) in font.glyphs.iter().enumerate() {
            let same = font.glyphs[..at].iter().find(|(other, _)| other == cell);
            if let Some((_, other)) = same {
                bail!("{other:?} and {character:?} look the same");
            }
        }
        Ok(self.text_by(&font))
    }

    /// The rows of characters, recognized by a font. An unknown character becomes a question mark.
    pub(crate) fn text_by(&self, font: &Font) -> Vec<String> {
        let read = |cell: Vec<bool>| {
            font.glyphs.iter().find(|(known, _)| *known == cell).map_or('?', |(_, character)| *character)
        };
        let row = |row| {
            let columns = 0..self.width / font.stride;
            columns.map(|column| read(self.cell(row, column, font.stride))).collect::<String>()
        };
        (0..self.rows.len() / HEIGHT).map(|number| row(number).trim_end().to_owned()).collect()
    }

    /// The pixels of a character that are not black, in cells `stride` pixels wide. Pixels beyond the picture count as black.
    fn cell(&self, row: usize, column: usize, stride: usize) -> Vec<bool> {
        let pixel = |y: usize, x: usize| self.rows.get(y)?.get(3 * x..3 * x + 3);
        let lit = |y, x| pixel(y, x).is_some_and(|pixel| pixel != [0; 3]);
        let line = |y| (stride * column..stride * column + WIDTH).map(move |x| lit(y, x));
        (HEIGHT * row..HEIGHT * (row + 1)).flat_map(line).collect()
    }
}

/// The lit pixels of each character.
#[derive(Debug)]
pub(crate) struct Font {
    /// The distance from one character to the next in pixels.
    stride: usize,
    glyphs: Vec<(Vec<bool>, char)>,
}

impl Font {
    /// A font of all 256 characters, with a bit for each pixel, and a byte for each line.
    pub(crate) fn of_bits(stride: usize, lines: &[u8]) -> Self {
        let lit = |line: &u8| (0..WIDTH).map(|bit| line >> (WIDTH - 1 - bit) & 1 != 0).collect::<Vec<_>>();
        let glyph =
            |byte: u8| lines.iter().skip(HEIGHT * usize::from(byte)).take(HEIGHT).flat_map(lit).collect();
        Self { stride, glyphs: CHARACTERS.map(|byte| (glyph(byte), byte.into())).collect() }
    }
}

/// Ends level 1.
pub(crate) fn quit() -> anyhow::Result<()> {
    ask(&["quit"])
}

/// Sends a command to level 1's nvmm.
fn ask(words: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(image::in_root(NVMM))
        .args(["ctl", SOCKET])
        .args(words)
        .output()
        .context("starting nvmm ctl")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{words:?}: nvmm ctl ended with {}: {errors}", output.status);
    Ok(())
}

#[cfg(test)]
#[path = "screen_test.rs"]
mod tests;
