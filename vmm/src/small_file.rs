//! Files that the user names, of kinds that are always small; and files that must be regular ones.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
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
    text(read_bytes(path)?)
}

/// The same, but only of a regular file.
///
/// # Errors
///
/// The errors of [`read`] and [`open_regular`].
pub(crate) fn read_regular(path: &Path) -> io::Result<String> {
    text(all_of(open_regular(path)?)?)
}

/// Opens a regular file, and never waits, as a pipe that nobody writes to would make it.
///
/// # Errors
///
/// The file can't be opened, or is of another kind.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let check = |found: &fs::Metadata| match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("that is no regular file")),
    };
    // Opening a device may have an effect.
    check(&fs::metadata(path)?)?;
    // It may have become a pipe since.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text in UTF-8"))
}

/// Reads a whole file.
///
/// # Errors
///
/// The file can't be read, or is too long, such as a device without an end.
pub(crate) fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    all_of(File::open(path)?)
}

fn all_of(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX {
        return Err(io::Error::other("it has more than 16 MiB; such a file is never that long"));
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "small_file_test.rs"]
mod tests;
