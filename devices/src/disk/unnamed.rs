//! Files that have no name: they are gone with whoever has them open, however that ends.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Makes a file in `folder` that has no name there, of this mode less the umask; `None`: the file system can't do that.
///
/// # Errors
///
/// There can't be a file.
pub fn unnamed_file(folder: &Path, mode: u32) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(mode).custom_flags(libc::O_TMPFILE);
    match options.open(folder) {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) =>
        {
            Ok(None)
        }
        opened => opened.map(Some),
    }
}
