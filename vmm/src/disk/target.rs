//! The file to make: it has its name once it is whole, and not before.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
};

use devices::disk::raw::{DiskError, DiskOptions, Problem, RawDisk};
use devices::printable::ToPrintable;
use tempfile::{Builder, NamedTempFile};

/// A file under another name in the same folder, removed again unless it is kept.
#[derive(Debug)]
pub(super) struct Target {
    file: NamedTempFile,
    path: PathBuf,
    replaces: bool,
}

/// Why a file can't be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    /// It would be written over.
    #[error("{} is there already; give another name", .0.printable())]
    Exists(PathBuf),
    /// A directory, a device.
    #[error("{} is no file, and only files can be replaced", .0.printable())]
    NotAFile(PathBuf),
    /// It is what is to be read.
    #[error("{} is what the copy is made from; give another name", .0.printable())]
    Needed(PathBuf),
    /// Somebody uses it.
    #[error("{} is in use by {holder}; end that, or give another name", path.printable())]
    InUse {
        /// The file.
        path: PathBuf,
        /// Who that is.
        holder: String,
    },
    /// Nothing can be written there.
    #[error("no file can be made in {}", folder.printable())]
    Folder {
        /// Where.
        folder: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// It was written, but the last step failed.
    #[error("{} can't be finished", path.printable())]
    Finish {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
}

impl Target {
    /// Begins a file that will be at `path`, where nothing may be, unless it `replaces` that.
    pub(super) fn new(path: &Path, replaces: bool) -> Result<Self, TargetError> {
        let (path, mode) = match fs::symlink_metadata(path) {
            Err(_) => (path.to_owned(), None),
            Ok(_) if !replaces => return Err(TargetError::Exists(path.to_owned())),
            // What a link leads to is replaced, and not the link.
            Ok(_) => match fs::canonicalize(path).and_then(|real| Ok((fs::metadata(&real)?, real))) {
                Ok((found, real)) if found.is_file() => (real, Some(found.mode())),
                _ => return Err(TargetError::NotAFile(path.to_owned())),
            },
        };
        if mode.is_some() {
            check_unused(&path)?;
        }
        let folder = folder(&path);
        let mut prefix = path.file_name().unwrap_or_default().to_owned();
        prefix.push(".");
        let made = Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            // Less what the umask takes, as of any file.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .and_then(|file| match mode {
                Some(mode) => file.as_file().set_permissions(Permissions::from_mode(mode)).map(|()| file),
                None => Ok(file),
            });
        match made {
            Ok(file) => Ok(Self { file, path, replaces }),
            Err(source) => Err(TargetError::Folder { folder: folder.to_owned(), source }),
        }
    }

    /// Where it is until it is kept.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives it its name, once all of it is on stable storage.
    pub(super) fn keep(self) -> Result<(), TargetError> {
        let Self { file, path, replaces } = self;
        let finish = |source| TargetError::Finish { path: path.clone(), source };
        file.as_file().sync_all().map_err(finish)?;
        let kept = if replaces { file.persist(&path) } else { file.persist_noclobber(&path) };
        kept.map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => TargetError::Exists(path.clone()),
            _ => finish(error.error),
        })?;
        // Its name too.
        File::open(folder(&path)).and_then(|folder| folder.sync_all()).map_err(finish)
    }
}

/// The folder that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses a file that somebody uses, be it this process.
fn check_unused(path: &Path) -> Result<(), TargetError> {
    match RawDisk::open(path, &DiskOptions::default()) {
        Err(DiskError { problem: Problem::InUse(holder), .. }) => {
            let path = path.to_owned();
            let is_own = holder.ends_with(&format!("(pid {})", process::id()));
            Err(if is_own { TargetError::Needed(path) } else { TargetError::InUse { path, holder } })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "target_test.rs"]
mod tests;
