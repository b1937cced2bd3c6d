//! Drafts: files and directories that are made next to their place, and get their name when they are complete.
//!
//! ```text
//! .NAME.nvmm-XXXXXX, locked ── all of it is written ──▶ NAME
//! ```
//!
//! A draft that is not locked was left by an nvmm that was killed: the next draft for the same name removes it. Others may have given such
//! a name, too: only what can't be anything but a draft is removed.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

use devices::printable::ToPrintable;
use rustix::{
    fs::{FlockOperation, flock},
    process::geteuid,
};

/// The number of random letters and digits at the end of a draft's name, as tempfile chooses them.
const RANDOM: usize = 6;

/// The contents that a draft has at most.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Contents<'a> {
    /// A file that begins with these bytes, or is cut before their end.
    File(&'a [u8]),
    /// A directory with nothing but regular files of these names.
    Directory(&'a [&'a str]),
}

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

/// Removes the drafts in `folder` whose names begin with `prefix`, that have such contents, and that are no longer being written.
pub(crate) fn remove_left(folder: &Path, prefix: &OsStr, contents: Contents<'_>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_name(&entry.file_name(), prefix)) {
        let path = entry.path();
        // Other files there must not block, and links are not followed.
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let Ok(draft) = File::options().read(true).custom_flags(flags).open(&path) else { continue };
        let removed = match draft.metadata() {
            Ok(found) if is_own(&found) && lock(&draft).is_ok() => remove(&path, &draft, &found, contents),
            _ => continue,
        };
        if let Err(error) = removed {
            log::info!("{}: it can't be removed: {error}", path.printable());
        }
    }
}

fn is_name(name: &OsStr, prefix: &OsStr) -> bool {
    let random = name.as_bytes().strip_prefix(prefix.as_bytes());
    random.is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
}

fn is_own(found: &Metadata) -> bool {
    found.uid() == geteuid().as_raw()
}

/// Removes a draft of this user's, unless it has other contents.
fn remove(path: &Path, draft: &File, found: &Metadata, contents: Contents<'_>) -> io::Result<()> {
    match contents {
        Contents::File(bytes) if found.is_file() && found.nlink() == 1 => {
            let mut there = Vec::new();
            draft.take(bytes.len() as u64).read_to_end(&mut there)?;
            if bytes.starts_with(&there) { fs::remove_file(path) } else { Ok(()) }
        }
        Contents::Directory(names) if found.is_dir() => {
            let files = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
            let is_known = |file: &fs::DirEntry| {
                let is_file = file.file_type().is_ok_and(|kind| kind.is_file());
                is_file && names.iter().any(|name| file.file_name() == *name)
            };
            if !files.iter().all(is_known) {
                return Ok(());
            }
            files.iter().try_for_each(|file| fs::remove_file(file.path()))?;
            fs::remove_dir(path)
        }
        Contents::File(_) | Contents::Directory(_) => Ok(()),
    }
}

#[cfg(test)]
#[path = "drafts_test.rs"]
mod tests;
