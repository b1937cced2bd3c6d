//! New qcow2 images, and larger ones.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use imago::{
    FormatCreateBuilder,
    qcow2::{Qcow2, Qcow2CreateBuilder},
};

use super::{
    super::{
        SECTOR_SIZE,
        format::Format,
        guard,
        lock::{self, LockedFile},
    },
    Store,
};
use crate::printable::{ToPrintable, Untrusted};

/// The default size of a cluster, as in QEMU.
const CLUSTER_SIZE: u32 = 64 << 10;
/// The largest L1 table, in bytes. QEMU takes no larger one.
const MAX_L1_LEN: u64 = 32 << 20;
/// The longest name of a backing file, in bytes.
const MAX_NAME: usize = 1023;

/// The options for a new image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    /// The size of a cluster in bytes: a power of two from 512 to 2 MiB.
    pub cluster_size: u32,
    /// The backing file and its format. The file's name is relative to the image's own folder. It need not exist.
    pub backing: Option<(Untrusted, Format)>,
    /// Replace an existing file.
    pub overwrite: bool,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self { cluster_size: CLUSTER_SIZE, backing: None, overwrite: false }
    }
}

/// Reasons why an image can't be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// A file exists already.
    #[error("{} exists, and is not overwritten", .0.printable())]
    Exists(PathBuf),
    /// The file to overwrite is in use.
    #[error("{} is in use by {holder}, and is not overwritten", path.printable())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The program that uses it.
        holder: String,
    },
    /// An impossible size.
    #[error("a disk can't have {0} bytes; give it a multiple of 512, of 512 at least")]
    Size(u64),
    /// A size that the tables can't cover.
    #[error("a disk of {size} bytes is too large for clusters of {cluster_size} bytes; at most {most} fit")]
    TooLarge {
        /// The size that was asked for.
        size: u64,
        /// The size of a cluster.
        cluster_size: u32,
        /// The largest size.
        most: u64,
    },
    /// An impossible size of clusters.
    #[error("a cluster can't have {0} bytes; give it a power of two from 512 to 2097152")]
    ClusterSize(u32),
    /// A name that doesn't fit into the header.
    #[error("the name of a backing file can have 1 to {MAX_NAME} bytes, and this has {0}")]
    Name(usize),
    /// The host failed.
    #[error("{} can't be written", path.printable())]
    Write {
        /// The file.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
}

/// Makes an image at `path` for an empty disk of `size` bytes. It is on stable storage when this returns.
///
/// # Errors
///
/// A file exists and must not be overwritten, or is in use; an option or the size is impossible; the host failed. An incomplete image is
/// removed.
pub fn create(path: &Path, size: u64, options: &CreateOptions) -> Result<(), CreateError> {
    options.check(size)?;
    let write = |source| CreateError::Write { path: path.to_owned(), source };
    let new = OpenOptions::new().read(true).write(true).create_new(true).open(path);
    let (file, is_new) = match new {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if !options.overwrite {
                return Err(CreateError::Exists(path.to_owned()));
            }
            (OpenOptions::new().read(true).write(true).open(path).map_err(write)?, false)
        }
        opened => (opened.map_err(write)?, true),
    };
    let file = LockedFile::from(file);
    if let Some(holder) = lock::lock_or_blame(&file, true).map_err(write)? {
        return Err(CreateError::InUse { path: path.to_owned(), holder });
    }
    let made = file.set_len(0).and_then(|()| format(&file, size, options));
    let made = made.and_then(|()| file.sync_all()).and_then(|()| sync_folder(path));
    if made.is_err() && is_new {
        // Only the first error is reported.
        let _ = fs::remove_file(path);
    }
    made.map_err(write)
}

/// Makes an image for an empty disk of `size` bytes in `file`, which is empty and will be at `path`.
///
/// # Errors
///
/// An option or the size is impossible; the host failed.
pub fn fill(file: &File, path: &Path, size: u64, options: &CreateOptions) -> Result<(), CreateError> {
    options.check(size)?;
    format(file, size, options).map_err(|source| CreateError::Write { path: path.to_owned(), source })
}

/// Makes an image in `file`, which is empty.
pub(super) fn format(file: &File, size: u64, options: &CreateOptions) -> io::Result<()> {
    let cluster_size = usize::try_from(options.cluster_size).map_err(io::Error::other)?;
    let store = imago::file::File::try_from(file.try_clone()?)?.into();
    let image: Qcow2CreateBuilder<Store> = Qcow2::create_builder(store).size(size).cluster_size(cluster_size);
    let Some((name, format)) = &options.backing else { return image.create() };
    // imago only takes text. A name of other bytes is replaced by one of the same length, and then written here.
    let text = name.as_str().map_or_else(|| "_".repeat(name.as_bytes().len()), str::to_owned);
    image.backing(text, format.name().to_owned()).create()?;
    if name.as_str().is_none() {
        file.write_all_at(name.as_bytes(), guard::backing_name_at(file)?)?;
    }
    Ok(())
}

impl CreateOptions {
    /// Checks that such an image is possible.
    fn check(&self, size: u64) -> Result<(), CreateError> {
        let cluster_size = self.cluster_size;
        if !cluster_size.is_power_of_two() || !(512..=2 << 20).contains(&cluster_size) {
            return Err(CreateError::ClusterSize(cluster_size));
        }
        if size == 0 || !size.is_multiple_of(SECTOR_SIZE) {
            return Err(CreateError::Size(size));
        }
        check_size(size, cluster_size)?;
        match &self.backing {
            Some((name, _)) if name.is_empty() || name.as_bytes().len() > MAX_NAME => {
                Err(CreateError::Name(name.as_bytes().len()))
            }
            _ => Ok(()),
        }
    }
}

/// Checks that a disk of `size` bytes doesn't have too many clusters.
pub(super) fn check_size(size: u64, cluster_size: u32) -> Result<(), CreateError> {
    let cluster = u64::from(cluster_size);
    // An L2 table is a cluster with an eight-byte entry for each cluster.
    let most = (MAX_L1_LEN / 8 * (cluster / 8)).saturating_mul(cluster).min(i64::MAX.unsigned_abs());
    if size > most { Err(CreateError::TooLarge { size, cluster_size, most }) } else { Ok(()) }
}

/// Puts the name of the file at `path` on stable storage.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
#[path = "create_test.rs"]
mod tests;
