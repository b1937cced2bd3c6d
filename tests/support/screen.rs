//! Pictures of a machine's screen, and a machine that SeaBIOS starts.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    process::Stdio,
};

use png::Decoder;
use tempfile::TempDir;

use crate::{
    control::ctl,
    support::{Running, expect, no_kvm, nvmm},
};

const SEABIOS: &str = "/usr/share/seabios/bios-256k.bin";
const VGA_ROM: &str = "/usr/share/seabios/vgabios-stdvga.bin";

/// Returns true if SeaBIOS can't run here, and prints that the test is skipped, and why.
pub(crate) fn no_bios() -> bool {
    if !Path::new(SEABIOS).exists() || !Path::new(VGA_ROM).exists() {
        println!("skipped: no SeaBIOS (apt install seabios)");
        return true;
    }
    no_kvm()
}

/// A picture from a file.
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Reads a PPM.
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
        assert_eq!(lines.next(), Some(&b"P6"[..]));
        let size = String::from_utf8(lines.next().unwrap().to_vec()).unwrap();
        let (width, height) = size.split_once(' ').unwrap();
        let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
        assert_eq!(lines.next(), Some(&b"255"[..]));
        let pixels: Vec<_> = lines.next().unwrap().as_chunks::<3>().0.to_vec();
        assert_eq!(pixels.len(), width * height);
        Self { width, height, pixels }
    }

    /// Reads a PNG with 8 bits for each colour, with or without an alpha channel.
    pub(crate) fn read_png(bytes: &[u8]) -> Self {
        let mut reader = Decoder::new(Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let (width, height) = (info.width as usize, info.height as usize);
        let channels = info.color_type.samples();
        assert_eq!(pixels.len(), width * height * channels);
        let pixels = pixels.chunks(channels).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { width, height, pixels }
    }

    /// A black picture of this size.
    pub(crate) fn black(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![[0; 3]; width * height] }
    }

    /// The part of the picture at a position, row by row.
    pub(crate) fn part(&self, (x, y): (usize, usize), (width, height): (usize, usize)) -> Vec<[u8; 3]> {
        (y..y + height).flat_map(|y| &self.pixels[y * self.width + x..][..width]).copied().collect()
    }

    /// Returns whether `other` is at a position.
    pub(crate) fn has(&self, at: (usize, usize), other: &Self) -> bool {
        let (width, height) = (other.width, other.height);
        at.0 + width <= self.width
            && at.1 + height <= self.height
            && self.part(at, (width, height)) == other.pixels
    }

    pub(crate) fn pixel(&self, x: usize, y: usize) -> u32 {
        let [red, green, blue] = self.pixels[y * self.width + x];
        u32::from_be_bytes([0, red, green, blue])
    }

    /// The rows of characters of 9 by 16 pixels, recognized by a font of 32 bytes each. A character that is not in the font, or under the
    /// cursor, becomes a question mark.
    pub(crate) fn text(&self, font: &[u8]) -> Vec<String> {
        let character = |row: usize, column: usize| {
            let lines: [u8; 16] = std::array::from_fn(|line| {
                let bit = |bit| u8::from(self.pixel(9 * column + bit, 16 * row + line) != 0) << (7 - bit);
                (0..8).map(bit).sum()
            });
            let found = (b' '..=b'~').find(|byte| font[usize::from(*byte) * 32..][..16] == lines);
            char::from(found.unwrap_or(b'?'))
        };
        let line = |row| (0..self.width / 9).map(|column| character(row, column)).collect::<String>();
        (0..self.height / 16).map(|row| line(row).trim_end().to_owned()).collect()
    }
}

/// A machine that SeaBIOS starts from a disk with this code in its boot sector.
pub(crate) struct Bios {
    pub(crate) nvmm: Running,
    pub(crate) folder: TempDir,
}

impl Bios {
    /// With a screen but no viewer.
    pub(crate) fn start(boot_sector: &[u8]) -> Self {
        Self::start_with(boot_sector, "vga")
    }

    /// With this `--display`.
    pub(crate) fn start_with(boot_sector: &[u8], display: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut disk = vec![0; 1 << 20];
        disk[..boot_sector.len()].copy_from_slice(boot_sector);
        if !boot_sector.is_empty() {
            disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        }
        fs::write(folder.path().join("a.img"), disk).unwrap();
        let mut command = nvmm();
        command.args(["--disk", "a.img", "--firmware", "bios", "--display", display, "--qmp", "qmp"]);
        command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self { nvmm: Running::start(&mut command), folder }
    }

    /// Waits until the machine has written `text` to COM1.
    pub(crate) fn prints(&mut self, text: &str) {
        expect(self.nvmm.0.stdout.as_mut().unwrap(), text);
    }

    pub(crate) fn ask(&self, words: &[&str]) {
        self.told(words);
    }

    /// Returns the output of `nvmm ctl`, which must succeed.
    pub(crate) fn told(&self, words: &[&str]) -> String {
        let output = ctl(&self.folder.path().join("qmp"), words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn picture(&self) -> Picture {
        let path = self.path("a.ppm");
        self.ask(&["screendump", path.to_str().unwrap()]);
        Picture::read(&path)
    }

    /// The text of the picture, by the font at the address where the BIOS has put it.
    pub(crate) fn text(&self) -> Vec<String> {
        let path = self.path("font");
        let filename = format!("filename={}", path.display());
        self.ask(&["pmemsave", "val=0xa0000", "size=8192", &filename]);
        let picture = self.picture();
        assert_eq!((picture.width, picture.height), (720, 400));
        picture.text(&fs::read(path).unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
