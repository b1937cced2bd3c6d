//! Delivers the user's program to levels that were saved before it was known: `nvmm nest --keep`, and `--from`.
//!
//! A disk of a fixed size passes through all levels, each of which gives its own disk to the next one, read-only and without its page
//! cache. It is empty when the levels are saved. When they are restored, it is replaced by one with the program. The last level reads its
//! first block repeatedly until it sees that.
//!
//! ```text
//! block 0: Header | from block 1 on: Letter, as JSON | from the next whole block on: the archive of the program and its files
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::program::Program;
use crate::nest::disk::{Page, chunk};
use crate::nest::image::Memfd;

/// The disk's serial number, by which a level finds it among the user's disks.
pub(in crate::nest) const SERIAL: &str = "nvmm-parcel";
/// The disk's size. It only takes up the space that was written to.
const SIZE: u64 = 8 << 30;
/// Bytes of a block.
const BLOCK: u64 = size_of::<Page>() as u64;
/// The interval for reading the first block.
const LOOK: Duration = Duration::from_millis(10);
/// The beginning of the first block.
const MAGIC: [u8; 16] = *b"nvmm nest parcel";
/// The version of the rest.
const VERSION: u64 = 1;
/// The number of random bytes for the last level.
const SEED: usize = 64;

/// The beginning of the first block.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    magic: [u8; 16],
    version: U64,
    letter: U64,
    archive: U64,
}

/// The description of the program that comes with the files.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::nest) struct Letter {
    /// The program.
    pub(in crate::nest) program: Program,
    /// Random bytes, so that copies of the levels don't have the same random numbers.
    pub(in crate::nest) seed: Vec<u8>,
}

/// Makes an empty disk.
pub(in crate::nest) fn empty() -> io::Result<Memfd> {
    let disk = Memfd::new(c"parcel")?;
    disk.0.set_len(SIZE)?;
    Ok(disk)
}

/// Makes a disk with a program. `write` writes the archive of its files.
pub(in crate::nest) fn pack(
    program: Program,
    write: impl FnOnce(&File) -> anyhow::Result<()>,
) -> anyhow::Result<Memfd> {
    let disk = empty().context("making the disk for the program")?;
    let mut seed = vec![0; SEED];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed)).context("/dev/urandom")?;
    let letter = serde_json::to_vec(&Letter { program, seed })?;
    let mut file = &disk.0;
    file.seek(SeekFrom::Start(BLOCK))?;
    file.write_all(&letter)?;
    let start = archive_start(letter.len() as u64);
    file.seek(SeekFrom::Start(start))?;
    write(file)?;
    let archive = file.stream_position()? - start;
    ensure!(
        start + archive <= SIZE,
        "the program and its files have {archive} bytes, and levels that were kept take {SIZE}"
    );
    // The archive may end in the middle of a block, and the disk has to have whole blocks.
    file.seek(SeekFrom::Start(0))?;
    let (version, letter, archive) = (VERSION.into(), (letter.len() as u64).into(), archive.into());
    file.write_all(Header { magic: MAGIC, version, letter, archive }.as_bytes())?;
    Ok(disk)
}

/// Finds the disk's device at this level.
pub(in crate::nest) fn find() -> anyhow::Result<PathBuf> {
    for disk in fs::read_dir("/sys/block").context("reading /sys/block")? {
        let disk = disk.context("reading /sys/block")?;
        let serial = fs::read_to_string(disk.path().join("serial")).unwrap_or_default();
        if serial.trim_matches(['\0', '\n', ' ']) == SERIAL {
            return Ok(Path::new("/dev").join(disk.file_name()));
        }
    }
    bail!("the disk by which a program is to come is not there")
}

/// Waits until a program is on the disk, and returns it with the archive of its files.
///
/// # Errors
///
/// The disk can't be read, or contains something else.
pub(in crate::nest) fn receive(path: &Path) -> anyhow::Result<(Letter, impl Read + use<>)> {
    let flags = OFlags::DIRECT.bits().cast_signed();
    let disk = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let disk = disk.with_context(|| format!("opening {}", path.display()))?;
    let header = loop {
        let mut first = [Page([0; size_of::<Page>()])];
        disk.read_exact_at(first.as_mut_bytes(), 0).context("reading the disk for the program")?;
        let (header, _) =
            Header::read_from_prefix(first.as_bytes()).map_err(|_| io::Error::other("short"))?;
        if header.magic == MAGIC {
            break header;
        }
        thread::sleep(LOOK);
    };
    if header.version.get() != VERSION {
        bail!(
            "the program comes in form {}, of another nvmm than the one that kept these levels, which knows form {VERSION}: keep them \
             anew",
            header.version
        );
    }
    let letter_len = header.letter.get();
    let mut letter = Vec::new();
    Direct::new(disk.try_clone()?, BLOCK)
        .take(letter_len)
        .read_to_end(&mut letter)
        .context("reading the program")?;
    let letter = serde_json::from_slice(&letter).context("reading what the program is")?;
    Ok((letter, Direct::new(disk, archive_start(letter_len)).take(header.archive.get())))
}

/// The offset of the archive after a letter of `len` bytes.
fn archive_start(len: u64) -> u64 {
    BLOCK.saturating_add(len).next_multiple_of(BLOCK)
}

/// Reads a disk in whole blocks, without the page cache.
struct Direct {
    disk: File,
    /// The offset of the next read.
    at: u64,
    buffer: Vec<Page>,
    /// The start of the buffered bytes that have not been taken yet.
    start: usize,
    end: usize,
}

impl Direct {
    fn new(disk: File, at: u64) -> Self {
        Self { disk, at, buffer: chunk(), start: 0, end: 0 }
    }
}

impl Read for Direct {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            self.end = self.disk.read_at(self.buffer.as_mut_bytes(), self.at)?;
            self.start = 0;
            self.at += self.end as u64;
        }
        let len = to.len().min(self.end - self.start);
        to[..len].copy_from_slice(&self.buffer.as_bytes()[self.start..self.start + len]);
        self.start += len;
        Ok(len)
    }
}

#[cfg(test)]
#[path = "parcel_test.rs"]
mod tests;
