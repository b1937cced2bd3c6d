//! Pieces of disks: files that VMware's products keep next to the descriptor that names them.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::header::is_vmdk;

/// Suffixes of a piece's name after the disk's name: `disk-flat.vmdk` is a piece of `disk.vmdk`.
const ENDINGS: [&[u8]; 4] = [b"-flat", b"-delta", b"-sesparse", b"-rdm"];

/// The descriptor for the file at `path`, by their names, if it exists.
pub(in super::super) fn descriptor_of(path: &Path) -> Option<PathBuf> {
    let disk = disk_name(path.file_stem()?.as_bytes())?;
    let name = [disk, b".", path.extension()?.as_bytes()].concat();
    let descriptor = path.with_file_name(OsStr::from_bytes(&name));
    let mut start = Vec::new();
    File::open(&descriptor)
        .ok()
        .filter(|file| file.metadata().is_ok_and(|it| it.is_file()))?
        .take(512)
        .read_to_end(&mut start)
        .ok()?;
    is_vmdk(&start).then_some(descriptor)
}

/// The disk's name in the name of a piece, both without `.vmdk`.
fn disk_name(piece: &[u8]) -> Option<&[u8]> {
    let (disk, number) = piece.split_last_chunk::<5>()?;
    let is_numbered =
        matches!(number, [b'-', b's' | b'f', digits @ ..] if digits.iter().all(u8::is_ascii_digit));
    let disk =
        if is_numbered { Some(disk) } else { ENDINGS.iter().find_map(|ending| piece.strip_suffix(*ending)) };
    disk.filter(|disk| !disk.is_empty())
}

#[cfg(test)]
#[path = "piece_test.rs"]
mod tests;
