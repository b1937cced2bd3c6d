//! Files without a name: they are deleted when the processes that have them open end.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Makes a file without a name in `folder`, with this mode less the umask; `None` if the file system doesn't support that.
///
/// # Errors
///
/// The host can't make the file.
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
