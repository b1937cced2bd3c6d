//! Files that the user names, of kinds that are always small.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The maximum length in bytes. Recorded hosts have less than 100 KiB.
const MAX: u64 = 16 << 20;

/// Reads a whole text file.
///
/// # Errors
///
/// The file can't be read, isn't UTF-8 text, or is too long, such as a device without an end.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    String::from_utf8(read_bytes(path)?).map_err(|_| io::Error::other("it is no text in UTF-8"))
}

/// Reads a whole file.
///
/// # Errors
///
/// The file can't be read, or is too long, such as a device without an end.
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
