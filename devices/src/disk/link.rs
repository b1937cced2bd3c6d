//! The facts about one image of a chain.

use std::{
    fs::File,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    SECTOR_SIZE, format::Format, guard::facts::Qcow2Facts, lock, raw::Opened, vmdk::facts::VmdkFacts,
};

/// The unit of `st_blocks`, whatever the file system's blocks are.
const BLOCK: u64 = 512;

/// The facts about one image of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// The path.
    pub path: PathBuf,
    /// The disk's size in bytes, if it can be read.
    pub size: Option<u64>,
    /// The length of its files, in bytes.
    pub len: u64,
    /// The space that they take, in bytes; none for a device.
    pub allocated: Option<u64>,
    /// The device and inode numbers of its files, which identify them.
    pub files: Vec<(u64, u64)>,
    /// The program that writes to it, or may write at any time: `NAME (pid N)`.
    pub writer: Option<String>,
    /// Further facts, by format.
    pub details: Details,
}

/// Further facts, by format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Details {
    /// A raw image.
    Raw {
        /// The image was taken for raw because it looks like no other format.
        guessed: bool,
    },
    /// A qcow2 image; `None` if its header has an unknown version.
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

    /// An image of a chain, without files so far.
    pub(super) fn new(path: &Path, details: Details) -> Self {
        let path = path.to_path_buf();
        Self { path, size: None, len: 0, allocated: Some(0), files: Vec::new(), writer: None, details }
    }

    /// A raw image, which is one file.
    pub(super) fn raw(path: &Path, opened: &Opened, guessed: bool) -> Self {
        let mut link = Self::new(path, Details::Raw { guessed });
        link.add(&opened.file, opened.len);
        link.size = Some(opened.len.next_multiple_of(SECTOR_SIZE));
        link
    }

    /// Adds a file of `len` bytes to the image.
    pub(super) fn add(&mut self, file: &File, len: u64) {
        let space = file.metadata().ok().filter(|it| !it.file_type().is_block_device());
        let space = space.and_then(|it| it.blocks().checked_mul(BLOCK));
        self.len = self.len.saturating_add(len);
        self.allocated = self.allocated.zip(space).map(|(all, space)| all.saturating_add(space));
        self.files.extend(file.metadata().ok().map(|it| (it.dev(), it.ino())));
        self.writer = self.writer.take().or_else(|| lock::writer(file));
    }
}
