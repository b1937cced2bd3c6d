//! Saves levels: the contents of a directory made by `nvmm nest --keep`.
//!
//! | file | |
//! | --- | --- |
//! | `nest.json` | the run that made the levels, and how much memory the last one has |
//! | `snapshot` | level 1, for `nvmm --restore`: the levels above are in its memory |
//! | `disk` | level 1's disk |
//! | `vmlinuz` | its kernel |

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use devices::printable::ToPrintable;
use serde::{Deserialize, Serialize};

use super::image::Memfd;
use super::record::Record;

/// The file that is written last: without it, the directory is incomplete.
pub(super) const NEST: &str = "nest.json";
/// Level 1.
pub(super) const SNAPSHOT: &str = "snapshot";
/// The disk.
pub(super) const DISK: &str = "disk";
/// Level 1's kernel.
pub(super) const KERNEL: &str = "vmlinuz";
/// The version of [`NEST`].
pub(super) const FORMAT: u32 = 1;
/// Names of level 1's disks in its snapshot.
pub(super) const CHECKED: &str = "checked";
pub(super) const PARCEL: &str = "parcel";

/// A directory in which levels are being saved. Unless it gets complete, it is removed with its contents.
#[derive(Debug)]
pub(super) struct Keep {
    path: PathBuf,
    done: bool,
}

/// The contents of [`NEST`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Nest {
    /// [`FORMAT`].
    pub(super) format: u32,
    /// The version of the nvmm that kept it.
    pub(super) nvmm: String,
    /// Memory of the last level.
    pub(super) last_mib: u32,
    /// The run that made the levels.
    pub(super) run: Record,
}

impl Keep {
    /// Makes the directory.
    ///
    /// # Errors
    ///
    /// The directory exists already, or can't be made.
    pub(super) fn new(path: &Path) -> anyhow::Result<Self> {
        let made = DirBuilder::new().mode(0o700).create(path);
        made.with_context(|| format!("--keep {}", path.printable()))?;
        Ok(Self { path: path.to_owned(), done: false })
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of level 1's snapshot.
    pub(super) fn snapshot(&self) -> PathBuf {
        self.path.join(SNAPSHOT)
    }

    /// Returns whether level 1 was saved.
    pub(super) fn is_saved(&self) -> bool {
        self.path.join(DISK).exists()
    }

    /// Copies what is not in the snapshot: level 1's disk.
    pub(super) fn add_disk(&self, disk: &Memfd) -> io::Result<()> {
        fs::copy(disk.path(), self.path.join(DISK)).map(drop)
    }

    /// Completes the directory, with the kernel of level 1, and the memory of the last level in MiB.
    ///
    /// # Errors
    ///
    /// A file can't be written.
    pub(super) fn finish(mut self, kernel: &Path, last_mib: u32, run: &Record) -> anyhow::Result<()> {
        let nvmm = env!("CARGO_PKG_VERSION").to_owned();
        let nest = Nest { format: FORMAT, nvmm, last_mib, run: run.clone() };
        let mut write = || -> anyhow::Result<()> {
            fs::copy(kernel, self.path.join(KERNEL))?;
            fs::write(self.path.join(NEST), serde_json::to_vec_pretty(&nest)?)?;
            self.done = true;
            Ok(())
        };
        write().with_context(|| format!("--keep {}", self.path.printable()))
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
#[path = "keep_test.rs"]
mod tests;
