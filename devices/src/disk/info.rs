//! What can be told of an image without using it: it may be broken, or in use by others.

use std::{
    fs::File,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    SECTOR_SIZE,
    format::{self, Format, OpenError, OpenOptions},
    lock, qcow2,
    raw::{DiskOptions, Opened},
    vmdk,
};
pub use super::{
    guard::facts::Qcow2Facts,
    vmdk::look::{VmdkExtent, VmdkFacts},
};

/// `st_blocks` is in these, whatever the file system's blocks are.
const BLOCK: u64 = 512;

/// What there is to know of an image.
#[derive(Debug)]
pub struct Info {
    /// It, what it is a difference to, and so on, as far as they could be followed.
    pub links: Vec<LinkInfo>,
    /// Why it can't be used, if it can't.
    pub wrong: Option<OpenError>,
}

/// What there is to know of one image of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Where it is.
    pub path: PathBuf,
    /// The disk's size in bytes, if it can be told.
    pub size: Option<u64>,
    /// The length of its files, in bytes.
    pub len: u64,
    /// The space that they take, in bytes; a device has no such number.
    pub allocated: Option<u64>,
    /// What tells each of its files from all others: device and inode.
    pub files: Vec<(u64, u64)>,
    /// Who writes to it, or may at any time: `NAME (pid N)`.
    pub writer: Option<String>,
    /// What its format adds.
    pub details: Details,
}

/// What a format adds.
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

/// Looks at the image at `path`: first at it and what it names, without locking anything, and then, if nobody writes to
/// them, whether it opens.
///
/// # Errors
///
/// There is no such file, or it can't be read.
pub fn look(path: &Path, options: &OpenOptions) -> Result<Info, OpenError> {
    let Info { links, wrong } = follow(path, options)?;
    let is_written = links.iter().any(|link| link.writer.is_some());
    if is_written {
        return Ok(Info { links, wrong });
    }
    let disk = DiskOptions { read_only: true, direct: false };
    let opened = format::open(path, &OpenOptions { disk, ..options.clone() });
    Ok(Info { links, wrong: opened.err() })
}

/// Looks at the image at `path` and what it names, without locking anything.
///
/// # Errors
///
/// There is no such file, or it can't be read.
pub fn follow(path: &Path, options: &OpenOptions) -> Result<Info, OpenError> {
    let opened = Opened::look(path)?;
    let format = match options.format {
        None => format::looks(&opened, path)?,
        given => given,
    };
    let root = options.backing_root.as_deref();
    let (links, wrong) = match format {
        Some(Format::Qcow2) => {
            let (links, wrong) = qcow2::look::look(path, &opened, root);
            (links, wrong.map(OpenError::from))
        }
        Some(Format::Vmdk) => {
            let (links, wrong) = vmdk::look::look(path, options.backing_root.as_slice());
            (links, wrong.map(OpenError::from))
        }
        None | Some(Format::Raw) => (vec![LinkInfo::raw(path, &opened, format.is_none())], None),
    };
    Ok(Info { links, wrong })
}

#[cfg(test)]
#[path = "info_test.rs"]
mod tests;
