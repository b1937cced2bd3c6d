//! The directory of a snapshot. It has a temporary name until all of it is written and synced.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use devices::printable::ToPrintable;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::{Builder, TempDir};

use super::files::{MACHINE, MEMORY, STATE};
use crate::drafts::{self, Contents};

/// A directory that is being filled. It is removed with its contents if it is dropped before [`NewDirectory::finish`].
#[derive(Debug)]
pub(crate) struct NewDirectory {
    /// The directory under its temporary name.
    draft: TempDir,
    /// Locked while it is filled.
    lock: File,
    /// The final name.
    path: PathBuf,
    /// An older snapshot of that name is replaced.
    replaces: bool,
    files: Vec<File>,
}

impl NewDirectory {
    /// Creates a directory that will become `path`, and with `replaces` takes the place of a snapshot there. Directories left by earlier
    /// saves that were killed are removed.
    ///
    /// # Errors
    ///
    /// The path is taken by something else, or the host refuses.
    pub(crate) fn create(path: &Path, replaces: bool) -> Result<Self> {
        let shown = path.printable();
        let name = check(path, replaces)?;
        let parent = parent(path);
        let prefix = drafts::prefix(name);
        drafts::remove_left(parent, &prefix, Contents::Directory(&[MACHINE, STATE, MEMORY]));
        // The guest's memory has its secrets.
        let own = Permissions::from_mode(0o700);
        let draft = Builder::new().prefix(&prefix).permissions(own).tempdir_in(parent);
        let draft = draft.with_context(|| cant_make(&shown))?;
        let lock = File::open(draft.path()).with_context(|| shown.to_string())?;
        drafts::lock(&lock).with_context(|| shown.to_string())?;
        Ok(Self { draft, lock, path: without_slash(path), replaces, files: Vec::new() })
    }

    /// Creates a file in the directory, which [`NewDirectory::finish`] syncs.
    ///
    /// # Errors
    ///
    /// A host error.
    pub(crate) fn file(&mut self, name: &str) -> Result<File> {
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(self.draft.path().join(name));
        let file = file.with_context(|| self.of(name))?;
        self.files.push(file.try_clone().with_context(|| self.of(name))?);
        Ok(file)
    }

    /// Writes a whole file.
    ///
    /// # Errors
    ///
    /// A host error.
    pub(crate) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut file = self.file(name)?;
        io::Write::write_all(&mut file, bytes).with_context(|| self.of(name))
    }

    /// The name of one of its files for messages.
    pub(crate) fn of(&self, name: &str) -> String {
        format!("{}: {name}", self.path.printable())
    }

    /// Syncs everything to stable storage, and gives the directory its final name.
    ///
    /// # Errors
    ///
    /// A host error, or the name is taken by now.
    pub(crate) fn finish(self) -> Result<()> {
        let shown = self.path.printable().to_string();
        let synced = self.files.iter().chain([&self.lock]).try_for_each(File::sync_all);
        synced.with_context(|| format!("{shown}: it can't be written"))?;
        let named = |flags| renameat_with(CWD, self.draft.path(), CWD, &self.path, flags);
        match named(RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::EXIST) if self.replaces => {
                // It may have been made meanwhile.
                check(&self.path, true)?;
                // The draft's name now belongs to the old snapshot, which is removed on drop.
                named(RenameFlags::EXCHANGE).with_context(|| shown.clone())?;
                drop(self.draft);
            }
            Err(rustix::io::Errno::EXIST) => {
                bail!("{shown}: another save, or program, has made that meanwhile; give another name");
            }
            renamed => {
                renamed.with_context(|| format!("{shown}: it can't be given its name"))?;
                let _ = self.draft.keep();
            }
        }
        File::open(parent(&self.path)).and_then(|parent| parent.sync_all()).with_context(|| shown)
    }
}

/// Checks that a directory can get the name `path`, as far as that can be seen. Returns its last part.
///
/// # Errors
///
/// The path is taken by something else.
pub(super) fn check(path: &Path, replaces: bool) -> Result<&OsStr> {
    let shown = path.printable();
    let Some(name) = path.file_name() else { bail!("{shown}: give the name of a directory to make") };
    match fs::symlink_metadata(without_slash(path)) {
        Ok(_) if !replaces => bail!("{shown}: that is there already; give the name of a new directory"),
        Ok(found) if !found.is_dir() || !path.join(MACHINE).exists() => {
            bail!(
                "{shown}: that is there already and is no snapshot, so it is not replaced; give another name"
            )
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| cant_make(&shown)),
    }
    Ok(name)
}

/// The same path without a slash at its end, which would have the kernel follow a link.
fn without_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The message about a directory that can't be made.
pub(super) fn cant_make(shown: &dyn fmt::Display) -> String {
    format!("{shown}: no directory can be made there")
}

/// The directory around `path`.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
#[path = "directory_test.rs"]
mod tests;
