//! The facts of one image of a chain.

use std::{
    fs::File,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    SECTOR_SIZE, format::Format, guard::facts::Qcow2Facts, lock, raw::Opened, vmdk::facts::VmdkFacts,
};

/// `st_blocks` is in these, whatever the file system's blocks are.
const BLOCK: u64 = 512;

/// The facts of one image of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its path.
    pub path: PathBuf,
    /// The disk's size in bytes, if it can be told.
    pub size: Option<u64>,
    /// The length of its files, in bytes.
    pub len: u64,
    /// The space that they take, in bytes; a device has no such number.
    pub allocated: Option<u64>,
    /// The numbers that tell each of its files from all others: device and inode.
    pub files: Vec<(u64, u64)>,
    /// The program that writes to it, or may at any time: `NAME (pid N)`.
    pub writer: Option<String>,
    /// The facts that its format adds.
    pub details: Details,
}

/// The facts that a format adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Details {
    /// A raw image.
    Raw {
        /// It was taken for one because it looks like nothing else.
        guessed: bool,
    },
    /// A qcow2 image; `None`: its header has no known version.
    Qcow2(Option<Qcow2Facts>),
    /// A vmdk.
    Vmdk(VmdkFacts),
}

impl LinkInfo {
    /// The image's format.
    #[must_use]
    pub fn format(&self) -> Format {
        match self.details {
            Details::Raw { .. } => Format::Raw,
            Details::Qcow2(_) => Format::Qcow2,
            Details::Vmdk(_) => Format::Vmdk,
        }
    }

    /// A link without files.
    pub(super) fn new(path: &Path, details: Details) -> Self {
        let path = path.to_path_buf();
        Self { path, size: None, len: 0, allocated: Some(0), files: Vec::new(), writer: None, details }
    }

    /// A link that is one raw file.
    pub(super) fn raw(path: &Path, opened: &Opened, guessed: bool) -> Self {
        let mut link = Self::new(path, Details::Raw { guessed });
        link.add(&opened.file, opened.len);
        link.size = Some(opened.len.next_multiple_of(SECTOR_SIZE));
        link
    }

    /// Adds a file of `len` bytes to it.
    pub(super) fn add(&mut self, file: &File, len: u64) {
        let space = file.metadata().ok().filter(|it| !it.file_type().is_block_device());
        let space = space.and_then(|it| it.blocks().checked_mul(BLOCK));
        self.len = self.len.saturating_add(len);
        self.allocated = self.allocated.zip(space).map(|(all, space)| all.saturating_add(space));
        self.files.extend(file.metadata().ok().map(|it| (it.dev(), it.ino())));
        self.writer = self.writer.take().or_else(|| lock::writer(file));
    }
}
