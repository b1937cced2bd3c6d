//! The file to be made, which gets its name only when it is complete.

use std::{
    fs::{self, File, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use devices::disk::{is_own, unnamed_file, user};
use devices::printable::ToPrintable;
use rustix::fs::{AtFlags, CWD, linkat};
use tempfile::{Builder, NamedTempFile};

use super::amount::Amount;

/// A file without a name, or, where the file system doesn't support that, with another name in the same folder. It is deleted again unless
/// it is kept.
#[derive(Debug)]
pub(super) struct Target {
    file: Made,
    path: PathBuf,
    replaces: bool,
}

#[derive(Debug)]
enum Made {
    Unnamed(File),
    Named(NamedTempFile),
}

/// Reasons why a file can't be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    /// The file exists already.
    #[error("{} is there already; give another name", .0.printable())]
    Exists(PathBuf),
    /// The path is that of a directory or a device.
    #[error("{} is no file, and only files can be replaced", .0.printable())]
    NotAFile(PathBuf),
    /// The file is the original.
    #[error("{} is what the copy is made from; give another name", .0.printable())]
    Needed(PathBuf),
    /// Another program uses the file.
    #[error("{} is in use by {holder}; end that, or give another name", path.printable())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The program that uses it.
        holder: String,
    },
    /// The folder can't be written to.
    #[error("no file can be made in {}", folder.printable())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// The file system does not allow files of that size.
    #[error("{} can't have {}", path.printable(), Amount(*size))]
    Size {
        /// The file.
        path: PathBuf,
        /// The size.
        size: u64,
        /// The host's error.
        source: io::Error,
    },
    /// The image was written, but finishing it failed.
    #[error("{} can't be finished", path.printable())]
    Finish {
        /// The file.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
}

impl Target {
    /// Begins a file for `path`. No file may be there, unless it `replaces` that.
    pub(super) fn new(path: &Path, replaces: bool) -> Result<Self, TargetError> {
        let (path, mode) = match fs::symlink_metadata(path) {
            Err(_) => (path.to_owned(), None),
            Ok(_) if !replaces => return Err(TargetError::Exists(path.to_owned())),
            // If it is a link, replace the file that it leads to, not the link.
            Ok(_) => match fs::canonicalize(path).and_then(|real| Ok((fs::metadata(&real)?, real))) {
                Ok((found, real)) if found.is_file() => (real, Some(found.mode())),
                _ => return Err(TargetError::NotAFile(path.to_owned())),
            },
        };
        if mode.is_some() {
            check_unused(&path)?;
        }
        let made = Made::new(&path).and_then(|made| match mode {
            Some(mode) => made.file().set_permissions(Permissions::from_mode(mode)).map(|()| made),
            None => Ok(made),
        });
        match made {
            Ok(file) => Ok(Self { file, path, replaces }),
            Err(source) => Err(TargetError::Folder { folder: folder(&path).to_owned(), source }),
        }
    }

    /// The path by which it can be opened until it is kept.
    pub(super) fn path(&self) -> PathBuf {
        match &self.file {
            Made::Unnamed(file) => by_descriptor(file),
            Made::Named(file) => file.path().to_owned(),
        }
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        self.file.file()
    }

    /// Sets its length, with zeros that take no space.
    pub(super) fn set_len(&self, size: u64) -> Result<(), TargetError> {
        let sized = self.file().set_len(size);
        sized.map_err(|source| TargetError::Size { path: self.path.clone(), size, source })
    }

    /// Gives it its name, once all of it is on stable storage.
    pub(super) fn keep(self) -> Result<(), TargetError> {
        let Self { file, path, replaces } = self;
        let finish = |source| TargetError::Finish { path: path.clone(), source };
        file.file().sync_all().map_err(finish)?;
        file.keep(&path, replaces).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => TargetError::Exists(path.clone()),
            _ => finish(error),
        })?;
        // The name, too, has to be on stable storage.
        File::open(folder(&path)).and_then(|folder| folder.sync_all()).map_err(finish)
    }
}

impl Made {
    /// Makes a file for `path`, with all permissions that the umask allows.
    fn new(path: &Path) -> io::Result<Self> {
        const MODE: u32 = 0o666;
        // Its name is made by way of /proc.
        match unnamed_file(folder(path), MODE)?.filter(|file| by_descriptor(file).exists()) {
            Some(file) => Ok(Self::Unnamed(file)),
            None => {
                let permissions = Permissions::from_mode(MODE);
                in_the_meantime(path, |names| names.permissions(permissions).tempfile_in(folder(path)))
                    .map(Self::Named)
            }
        }
    }

    fn file(&self) -> &File {
        match self {
            Self::Unnamed(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    /// Names it `path`. Replaces an existing file only if it `replaces` that.
    fn keep(self, path: &Path, replaces: bool) -> io::Result<()> {
        match self {
            Self::Named(file) if replaces => file.persist(path).map(drop).map_err(|error| error.error),
            Self::Named(file) => file.persist_noclobber(path).map(drop).map_err(|error| error.error),
            Self::Unnamed(file) if replaces => {
                // A file is replaced by renaming another one, which therefore needs a name.
                let name = in_the_meantime(path, |names| {
                    names.make_in(folder(path), |name| link(&file, name)).map(NamedTempFile::into_temp_path)
                })?;
                name.persist(path).map_err(|error| error.error)
            }
            Self::Unnamed(file) => link(&file, path),
        }
    }
}

/// Gives a name to a file without one.
fn link(file: &File, path: &Path) -> io::Result<()> {
    Ok(linkat(CWD, by_descriptor(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn by_descriptor(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Calls `make` with temporary names for a file at `path`.
fn in_the_meantime<T>(path: &Path, make: impl FnOnce(&mut Builder<'_, '_>) -> T) -> T {
    let mut prefix = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    make(Builder::new().prefix(&prefix).suffix(".partial"))
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses a file that is in use, even by this process. If that can't be found out, it is accepted: the file itself is not written to.
fn check_unused(path: &Path) -> Result<(), TargetError> {
    let Some(holder) = File::open(path).and_then(|file| user(&file)).ok().flatten() else { return Ok(()) };
    let path = path.to_owned();
    Err(if is_own(&holder) { TargetError::Needed(path) } else { TargetError::InUse { path, holder } })
}

#[cfg(test)]
#[path = "target_test.rs"]
mod tests;
