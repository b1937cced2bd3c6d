//! One file of a vmdk.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    super::{
        SECTOR_SIZE,
        lock::{self, LockedFile},
        raw::Opened,
    },
    error::{Failure, Problem},
};

/// A file, open for reading and share-locked.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) path: PathBuf,
    pub(super) file: LockedFile,
    /// The length in bytes when it was opened.
    pub(super) len: u64,
}

impl Image {
    /// Opens and locks the file at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let image = Self::look(path)?;
        if !lock::lock(&image.file, false).map_err(Problem::Lock.because())? {
            return Err(match lock::holder(&image.file) {
                Some(holder) if lock::is_own(&holder) => Problem::Twice.into(),
                holder => Problem::InUse(holder.unwrap_or_else(|| "another program".into())).into(),
            });
        }
        Ok(image)
    }

    /// Uses the file at `path`, which is open and locked. Other programs may read it from now on.
    pub(super) fn of(opened: Opened, path: &Path) -> Result<Self, Failure> {
        if opened.is_device {
            return Err(Problem::NotAFile.into());
        }
        lock::share(&opened.file).map_err(Problem::Lock.because())?;
        Ok(Self { path: path.to_path_buf(), file: opened.file, len: opened.len })
    }

    /// Opens the file at `path` for inspection, even if others use it.
    pub(super) fn look(path: &Path) -> Result<Self, Failure> {
        // Checked before opening, because opening alone acts on some devices and blocks on a FIFO.
        let kind = fs::metadata(path).map_err(missing_or(Problem::Open))?;
        if !kind.is_file() {
            return Err(Problem::NotAFile.into());
        }
        let file = File::open(path).map_err(missing_or(Problem::Open))?;
        let len = file.metadata().map_err(Problem::Open.because())?.len();
        Ok(Self { path: path.to_path_buf(), file: file.into(), len })
    }

    /// The device and inode numbers, which identify the file by whatever name.
    pub(super) fn identity(&self) -> io::Result<(u64, u64)> {
        self.file.metadata().map(|it| (it.dev(), it.ino()))
    }

    /// The number of whole sectors.
    pub(super) fn sectors(&self) -> u64 {
        self.len / SECTOR_SIZE
    }

    /// Returns whether all of `len` bytes at `offset` are in the file.
    pub(super) fn holds(&self, offset: u64, len: u64) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.len)
    }

    /// Reads `len` bytes at `offset`. The caller has limited `len`.
    pub(super) fn bytes(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        if !self.holds(offset, len) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// [`Problem::Missing`] if the file doesn't exist, else `problem`.
pub(super) fn missing_or(problem: Problem) -> impl FnOnce(io::Error) -> Failure {
    |error| match error.kind() {
        ErrorKind::NotFound => Problem::Missing.into(),
        _ => problem.because()(error),
    }
}
