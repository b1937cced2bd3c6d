//! Drafts: files and directories that are made next to their place, and get their name when they are complete.
//!
//! ```text
//! .NAME.nvmm-XXXXXX, locked ── all of it is written ──▶ NAME
//! ```
//!
//! A draft that is not locked was left by an nvmm that was killed: the next draft for the same name removes it.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::Path,
};

use devices::printable::ToPrintable;
use rustix::fs::{FlockOperation, flock};

/// The beginning of the names of drafts for `name`.
pub(crate) fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".nvmm-");
    prefix
}

/// Locks a draft, which is a file or a directory, as long as it is open, to show that it is still being written.
///
/// # Errors
///
/// The errors of the host.
pub(crate) fn lock(draft: &File) -> io::Result<()> {
    Ok(flock(draft, FlockOperation::NonBlockingLockExclusive)?)
}

/// Removes the drafts in `folder` whose names begin with `prefix` and that are no longer being written.
pub(crate) fn remove_left(folder: &Path, prefix: &OsStr) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let is_draft = |name: &OsStr| name.as_bytes().starts_with(prefix.as_bytes());
    for entry in entries.flatten().filter(|entry| is_draft(&entry.file_name())) {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        // Other files there must not block, and links are not followed.
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let opened = File::options().read(true).custom_flags(flags).open(&path);
        if !opened.is_ok_and(|draft| lock(&draft).is_ok()) {
            continue;
        }
        let removed = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            log::info!("{}: it can't be removed: {error}", path.printable());
        }
    }
}

#[cfg(test)]
#[path = "drafts_test.rs"]
mod tests;
