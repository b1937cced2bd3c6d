//! The disk check: compares a level's reads and writes on its disk with the file outside.
//!
//! The level below fills the first `AREA` with a pattern. The level reads it, writes another pattern to the second area, flushes, and
//! reads that back. After it has powered off, its checksums must be those of the file.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Instant;

use rustix::fs::OFlags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::image::Memfd;
use super::report::Said;

/// The number of bytes to read, and to write.
pub(super) const AREA: u64 = 16 << 20;
/// The end of the part that is checked.
pub(super) const END: u64 = 2 * AREA;
/// The number of bytes in one request to the kernel.
const CHUNK: usize = 1 << 20;

/// Memory with the alignment for direct I/O.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
pub(super) struct Page(pub(super) [u8; 4096]);

/// Makes a disk for `level`, with its first area filled.
///
/// # Errors
///
/// There is not enough memory.
pub fn make(level: u32) -> io::Result<Memfd> {
    let disk = Memfd::new(c"disk")?;
    disk.0.set_len(END)?;
    write_pattern(&disk.0, u64::from(level))?;
    Ok(disk)
}

/// Does the guest's part, on its disk at `path`. Returns what it has to report. Each `round` writes another pattern.
///
/// # Errors
///
/// The disk can't be read or written, or does not contain what was written.
pub fn check(path: &Path, round: u32) -> io::Result<Said> {
    let start = Instant::now();
    let direct = || {
        let flags = OFlags::DIRECT.bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    };
    let read = checksum(direct()?)?;
    let read_ms = milliseconds(start);
    let start = Instant::now();
    // Buffered, so that the kernel writes back and flushes as usual.
    let mut disk = OpenOptions::new().write(true).open(path)?;
    disk.seek(SeekFrom::Start(AREA))?;
    let wrote = write_pattern(&disk, u64::from(read) << 32 | u64::from(round))?;
    disk.sync_all()?;
    let write_ms = milliseconds(start);
    let mut disk = direct()?;
    disk.seek(SeekFrom::Start(AREA))?;
    let back = checksum(disk)?;
    if back != wrote {
        return Err(io::Error::other(format!("wrote data with CRC {wrote:08x} and read back {back:08x}")));
    }
    Ok(Said::Disk { read, wrote, read_ms, write_ms })
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The checksums of the areas in the file outside.
///
/// # Errors
///
/// The areas can't be read.
pub fn outside(disk: &Memfd) -> io::Result<(u32, u32)> {
    let mut file = &disk.0;
    file.seek(SeekFrom::Start(0))?;
    Ok((checksum(file)?, checksum(file)?))
}

/// CRC-32 of the next [`AREA`] of `from`.
fn checksum(mut from: impl Read) -> io::Result<u32> {
    let mut chunk = chunk();
    let mut hash = crc32fast::Hasher::new();
    for _ in 0..AREA / CHUNK as u64 {
        from.read_exact(chunk.as_mut_bytes())?;
        hash.update(chunk.as_bytes());
    }
    Ok(hash.finalize())
}

/// Writes an [`AREA`] of the pattern for `seed`, and returns its CRC-32.
fn write_pattern(mut to: impl Write, seed: u64) -> io::Result<u32> {
    let mut chunk = chunk();
    let mut hash = crc32fast::Hasher::new();
    let mut state = seed;
    for _ in 0..AREA / CHUNK as u64 {
        for word in chunk.as_mut_bytes().chunks_exact_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            word.copy_from_slice(&mix(state).to_le_bytes());
        }
        hash.update(chunk.as_bytes());
        to.write_all(chunk.as_bytes())?;
    }
    Ok(hash.finalize())
}

/// SplitMix64's output function.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Memory for one request.
pub(super) fn chunk() -> Vec<Page> {
    vec![Page([0; 4096]); CHUNK / size_of::<Page>()]
}

#[cfg(test)]
#[path = "disk_test.rs"]
mod tests;
