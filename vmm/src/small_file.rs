//! Files that the user names, of kinds that are never large.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The greatest length, in bytes: recorded hosts have less than 100 KiB.
const MAX: u64 = 16 << 20;

/// Reads a whole file of text.
///
/// # Errors
///
/// It can't be read, is no text, or is too long, as a device without an end is.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    String::from_utf8(read_bytes(path)?).map_err(|_| io::Error::other("it is no text in UTF-8"))
}

/// Reads a whole file.
///
/// # Errors
///
/// It can't be read, or is too long, as a device without an end is.
pub(crate) fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX {
        return Err(io::Error::other("it has more than 16 MiB; such a file is never that long"));
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "small_file_test.rs"]
mod tests;
