//! `--pidfile`: a file with the process ID, for programs that end nvmm or check whether it runs.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    process,
};

use devices::{printable::ToPrintable, root};
use thiserror::Error;

use crate::output::{OutputError, Taken};

const OPTION: &str = "--pidfile";

/// The reason why there is no PID file.
#[derive(Debug, Error)]
pub enum PidFileError {
    /// The path is in use or no regular file.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Another machine uses it.
    #[error("{OPTION} {}: another machine that runs has this file; give each its own", .0.printable())]
    InUse(PathBuf),
    /// The host refuses.
    #[error("{OPTION} {}", .0.printable())]
    Io(PathBuf, #[source] io::Error),
}

/// A file with this process's ID, removed on drop. It is locked, so that no other machine uses the same file.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Creates the file, or takes over one whose machine has ended. Nothing is written to it yet.
    ///
    /// # Errors
    ///
    /// Another machine uses it, it is one of the `taken` files or no regular file, or it can't be created.
    pub fn lock(path: &Path, taken: &Taken) -> Result<Self, PidFileError> {
        let failed = |error| PidFileError::Io(path.to_owned(), error);
        loop {
            let file = taken.open_regular(OPTION, path, File::options().read(true).write(true))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(PidFileError::InUse(path.to_owned())),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            let path = fs::canonicalize(path).map_err(failed)?;
            // A machine that was ending may have removed the file before it was locked.
            if is_at(&file, &path) {
                return Ok(Self { path, file });
            }
        }
    }

    /// Writes this process's ID.
    ///
    /// # Errors
    ///
    /// The host refuses.
    pub fn write(&self) -> Result<(), PidFileError> {
        let written = self.file.set_len(0).and_then(|()| self.file.write_all_at(number().as_bytes(), 0));
        written.map_err(|error| PidFileError::Io(self.path.clone(), error))
    }

    /// Returns whether the file is empty or holds exactly this process's ID.
    fn is_ours(&self) -> bool {
        let mut bytes = [0; 32];
        let len = self.file.read_at(&mut bytes, 0).unwrap_or(bytes.len());
        len == 0 || bytes[..len] == *number().as_bytes()
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let Some(path) = root::path_now(&self.path) else { return };
        if self.is_ours() && is_at(&self.file, &path) {
            let _ = fs::remove_file(&path);
        }
    }
}

fn number() -> String {
    format!("{}\n", process::id())
}

fn is_at(file: &File, path: &Path) -> bool {
    let Ok((ours, there)) = file.metadata().and_then(|ours| Ok((ours, fs::metadata(path)?))) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
#[path = "pid_file_test.rs"]
mod tests;
