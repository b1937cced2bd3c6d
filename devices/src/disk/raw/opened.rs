//! Files that disks are made of: opened, checked, locked and measured.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Seek, SeekFrom},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use super::{
    super::{
        lock::{self, LockedFile},
        options::DiskOptions,
    },
    direct,
    error::{DiskError, Failure, Problem},
};

/// A file that disks are made of, open and locked until it is dropped.
#[derive(Debug)]
pub(in super::super) struct Opened {
    pub(in super::super) file: LockedFile,
    /// The length in bytes.
    pub(in super::super) len: u64,
    pub(in super::super) is_device: bool,
}

impl Opened {
    /// Opens and locks the file at `path`.
    ///
    /// # Errors
    ///
    /// The errors of [`super::RawDisk::open`], except for those of direct I/O.
    pub(in super::super) fn open(path: &Path, options: &DiskOptions) -> Result<Self, DiskError> {
        Self::try_open(path, options, true).map_err(Failure::of(path))
    }

    /// Opens the file at `path` only to inspect it, even if others use it: read-only and without a lock.
    ///
    /// # Errors
    ///
    /// The errors of [`super::RawDisk::open`], except for those of locks and direct I/O.
    pub(in super::super) fn look(path: &Path) -> Result<Self, DiskError> {
        let options = DiskOptions { read_only: true, direct: false };
        Self::try_open(path, &options, false).map_err(Failure::of(path))
    }

    fn try_open(path: &Path, options: &DiskOptions, locked: bool) -> Result<Self, Failure> {
        // Checked before opening, because opening alone acts on some character devices and blocks on a FIFO.
        let kind = fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Problem::Missing.into(),
            _ => Problem::Open.because()(error),
        })?;
        if kind.is_dir() {
            return Err(Problem::Directory.into());
        }
        let is_device = kind.file_type().is_block_device();
        if !is_device && !kind.is_file() {
            return Err(Problem::NotADisk.into());
        }

        if is_device && !options.read_only && is_read_only_device(kind.rdev()) {
            return Err(Problem::ReadOnly.into());
        }

        let file = LockedFile::from(open_file(path, options)?);
        if locked {
            lock(&file, !options.read_only)?;
        }
        let len = (&*file).seek(SeekFrom::End(0)).map_err(Problem::Measure.because())?;
        if len == 0 {
            return Err(Problem::Empty.into());
        }
        Ok(Self { file, len, is_device })
    }

    /// Locks a file that was opened for inspection, to be read from now on.
    pub(in super::super) fn lock(&self, path: &Path) -> Result<(), DiskError> {
        lock(&self.file, false).map_err(Failure::of(path))
    }

    /// Uses a file that nobody else can open.
    pub(in super::super) fn from_file(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file: file.into(), len, is_device: false })
    }

    /// Opens the same file for direct I/O.
    pub(in super::super) fn reopen_direct(
        &self,
        path: &Path,
        options: &DiskOptions,
    ) -> Result<File, DiskError> {
        direct::reopen(&self.file, options).map_err(Failure::of(path))
    }
}

/// Locks `file` for `writing` or only for reading.
fn lock(file: &File, writing: bool) -> Result<(), Failure> {
    match lock::lock_or_blame(file, writing).map_err(Problem::Lock.because())? {
        Some(holder) if lock::is_own(&holder) => Err(Problem::Twice.into()),
        Some(holder) => Err(Problem::InUse(holder).into()),
        None => Ok(()),
    }
}

fn open_file(path: &Path, options: &DiskOptions) -> Result<File, Failure> {
    let open = |write| OpenOptions::new().read(true).write(write).open(path);
    open(!options.read_only).map_err(|error| {
        let readable = !options.read_only && open(false).is_ok();
        let problem = if readable { Problem::ReadOnly } else { Problem::Open };
        problem.because()(error)
    })
}

/// Returns whether a block device is read-only. Opening it for writing works nevertheless.
fn is_read_only_device(device: u64) -> bool {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/ro")).is_ok_and(|it| it.trim_end() == "1")
}
