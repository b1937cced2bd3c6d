//! The directory of a snapshot: a draft until all of it is written and synced, and named last.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use devices::printable::ToPrintable;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::{Builder, TempDir};

use super::files::MACHINE;
use crate::drafts;

/// A directory that is being filled. Dropped before [`NewDirectory::finish`], it is removed with all that is in it.
#[derive(Debug)]
pub(crate) struct NewDirectory {
    /// Its name until it is whole.
    draft: TempDir,
    /// Locked while it is filled.
    lock: File,
    /// Its name then.
    path: PathBuf,
    /// An older snapshot of that name gives way.
    replaces: bool,
    files: Vec<File>,
}

impl NewDirectory {
    /// Makes a directory that will be `path`; with `replaces` in place of the snapshot that may be there. What earlier saves left that were
    /// killed is removed.
    ///
    /// # Errors
    ///
    /// Something else is there, or the host refuses.
    pub(crate) fn create(path: &Path, replaces: bool) -> Result<Self> {
        let shown = path.printable();
        let Some(name) = path.file_name() else { bail!("{shown}: give the name of a directory to make") };
        match fs::symlink_metadata(path) {
            Ok(_) if !replaces => bail!("{shown}: that is there already; give the name of a new directory"),
            Ok(found) if !found.is_dir() || !path.join(MACHINE).exists() => {
                bail!(
                    "{shown}: that is there already and is no snapshot, so it is not replaced; give another name"
                )
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| shown.to_string()),
        }
        let parent = parent(path);
        let prefix = drafts::prefix(name);
        drafts::remove_left(parent, &prefix);
        let draft = Builder::new().prefix(&prefix).tempdir_in(parent);
        let draft = draft.with_context(|| format!("{shown}: no directory can be made there"))?;
        let lock = File::open(draft.path()).with_context(|| shown.to_string())?;
        drafts::lock(&lock).with_context(|| shown.to_string())?;
        Ok(Self { draft, lock, path: path.to_owned(), replaces, files: Vec::new() })
    }

    /// Makes a file in it, which [`NewDirectory::finish`] syncs.
    ///
    /// # Errors
    ///
    /// The host's.
    pub(crate) fn file(&mut self, name: &str) -> Result<File> {
        let file = File::options().write(true).create_new(true).open(self.draft.path().join(name));
        let file = file.with_context(|| self.of(name))?;
        self.files.push(file.try_clone().with_context(|| self.of(name))?);
        Ok(file)
    }

    /// Writes a whole file.
    ///
    /// # Errors
    ///
    /// The host's.
    pub(crate) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut file = self.file(name)?;
        io::Write::write_all(&mut file, bytes).with_context(|| self.of(name))
    }

    /// The name of one of its files in messages.
    pub(crate) fn of(&self, name: &str) -> String {
        format!("{}: {name}", self.path.printable())
    }

    /// Has the host write all of it to stable storage, and gives it its name.
    ///
    /// # Errors
    ///
    /// The host's, or there is something of that name by now.
    pub(crate) fn finish(self) -> Result<()> {
        let shown = self.path.printable().to_string();
        let synced = self.files.iter().chain([&self.lock]).try_for_each(File::sync_all);
        synced.with_context(|| format!("{shown}: it can't be written"))?;
        let named = |flags| renameat_with(CWD, self.draft.path(), CWD, &self.path, flags);
        match named(RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::EXIST) if self.replaces => {
                // What was there is the draft now, and is removed.
                named(RenameFlags::EXCHANGE).with_context(|| shown.clone())?;
                drop(self.draft);
            }
            renamed => {
                renamed.with_context(|| format!("{shown}: it can't be given its name"))?;
                let _ = self.draft.keep();
            }
        }
        File::open(parent(&self.path)).and_then(|parent| parent.sync_all()).with_context(|| shown)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
#[path = "directory_test.rs"]
mod tests;
