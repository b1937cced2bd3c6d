//! The options for opening disks.

use std::path::PathBuf;

use super::format::Format;

/// The options for opening a file that disks are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskOptions {
    /// Never write to it, and share it with other readers.
    pub read_only: bool,
    /// Bypass the host's page cache (`O_DIRECT`).
    pub direct: bool,
}

/// The options for opening a qcow2 image, and those below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qcow2Options {
    /// The options for opening its file.
    pub disk: DiskOptions,
    /// The folders that backing files may be in, besides the image's own folder and those below it.
    pub backing_root: Option<PathBuf>,
}

/// The file to which a disk's writes go, instead of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// A file without a name, in `$TMPDIR` or `/var/tmp`, which is deleted with the disk.
    Temp,
    /// The image at this path, which is made if it doesn't exist.
    File(PathBuf),
}

/// The options for opening an image of any format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// The options for opening its file.
    pub disk: DiskOptions,
    /// The format; by default, the one that it looks like.
    pub format: Option<Format>,
    /// The folders that files named by the image may be in, besides its own folder and those below it.
    pub backing_root: Option<PathBuf>,
    /// The overlay for writes; without one, they go into the image. With one, the image is only read.
    pub overlay: Option<Overlay>,
}
