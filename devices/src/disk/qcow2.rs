//! qcow2 images, with all that they are differences to.
//!
//! imago knows the format. What it must not be asked to read is refused before ([`super::guard`]), and every file that
//! it works on was opened, locked and allowed here ([`chain`]).

mod chain;
pub(super) mod look;

use std::{
    fs::File,
    io, mem,
    ops::Range,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use imago::{
    DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder,
    io_buffers::{IoVector, IoVectorMut},
    qcow2::Qcow2,
    raw::Raw,
};
use vm_memory::VolatileSlice;

use super::{
    BlockSize, Disk, Extent,
    guard::HeaderError,
    raw::{DiskError, DiskOptions, FILE_BLOCK_SIZE, Opened},
    vectored,
};
use chain::{Chain, Link};

/// How to open a qcow2 image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qcow2Options {
    /// How to open its file.
    pub disk: DiskOptions,
    /// Where backing files may be, besides the image's own folder and what is below it.
    pub backing_root: Option<PathBuf>,
}

/// Why a qcow2 image can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    /// A file of it can't be.
    #[error(transparent)]
    File(#[from] DiskError),
    /// Its header says so.
    #[error("disk {}", path.display())]
    Header {
        /// The image.
        path: PathBuf,
        /// What its header says.
        source: HeaderError,
    },
    /// The host failed to read it.
    #[error("disk {} can't be read", path.display())]
    Read {
        /// The image.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// imago can't read it.
    #[error("disk {} can't be used as qcow2; qemu-img check tells more", path.display())]
    Tables {
        /// The image.
        path: PathBuf,
        /// What imago said.
        source: io::Error,
    },
    /// The folder with backing files can't be used.
    #[error("backing-root={} can't be used", path.display())]
    Root {
        /// The folder.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// Something is wrong further down the chain.
    #[error("disk {} needs others", path.display())]
    Below {
        /// What the user gave.
        path: PathBuf,
        /// What is wrong.
        source: Box<Qcow2Error>,
    },
    /// The backing file's format is not recorded.
    #[error(
        "disk {path} doesn't record the format of its backing file {name}, and to guess is unsafe; \
         record it: qemu-img rebase -u -F FORMAT -b {name} {path}",
        path = path.display()
    )]
    NoFormat {
        /// The image.
        path: PathBuf,
        /// The backing file.
        name: String,
    },
    /// The backing file's format can't be read.
    #[error("the backing file {name} of disk {} is {format}; only qcow2 and raw can be read", path.display())]
    Format {
        /// The image.
        path: PathBuf,
        /// The backing file.
        name: String,
        /// What it is said to be.
        format: String,
    },
    /// The backing file is none.
    #[error("the backing file {name} of disk {} is no local file", path.display())]
    NotAFile {
        /// The image.
        path: PathBuf,
        /// The backing file.
        name: String,
    },
    /// The backing file is elsewhere.
    #[error(
        "the backing file {name} of disk {} is outside of the disk's folder; allow its own with backing-root=DIR",
        path.display()
    )]
    Outside {
        /// The image.
        path: PathBuf,
        /// The backing file.
        name: String,
    },
    /// An image is its own backing file, at whatever distance.
    #[error("the backing file {name} of disk {} is above it too: the chain never ends", path.display())]
    Loop {
        /// The image.
        path: PathBuf,
        /// The backing file.
        name: String,
    },
    /// More backing files than anybody has.
    #[error("disk {} has more than {most} backing files, one below the other; merge some with qemu-img rebase", path.display())]
    TooDeep {
        /// The image.
        path: PathBuf,
        /// The limit.
        most: usize,
    },
}

/// imago's side of an image.
type Image = FormatAccess<imago::file::File>;

/// An open qcow2 image. It and all below it are locked until it is dropped.
#[derive(Debug)]
pub struct Qcow2Disk {
    name: String,
    // Before the files, because dropping it writes what it holds back.
    image: Arc<Image>,
    _locked: Vec<File>,
    size: u64,
    read_only: bool,
    broken: AtomicBool,
}

impl Qcow2Disk {
    /// Opens and locks the image at `path`, and all below it.
    ///
    /// # Errors
    ///
    /// Those of [`super::raw::RawDisk::open`], for any file of the chain; an image that can't be read; a backing file
    /// that is not allowed, or whose format is not recorded.
    pub fn open(path: &Path, options: &Qcow2Options) -> Result<Self, Qcow2Error> {
        Self::new(Opened::open(path, &options.disk)?, path, options)
    }

    /// Uses a file that was opened with the same `path` and `options`.
    pub(super) fn new(opened: Opened, path: &Path, options: &Qcow2Options) -> Result<Self, Qcow2Error> {
        let Chain { top, below } = chain::open(path, opened, options)?;
        let (mut image, mut locked) = (None, Vec::new());
        for link in below.into_iter().rev() {
            image = Some(open_image(&link, image, &DiskOptions { read_only: true, ..options.disk })?);
            locked.push(link.opened.file);
        }
        let image = open_image(&top, image, &options.disk)?;
        locked.push(top.opened.file);
        Ok(Self {
            name: path.display().to_string(),
            size: image.size(),
            image: Arc::new(image),
            broken: AtomicBool::new(false),
            read_only: options.disk.read_only,
            _locked: locked,
        })
    }

    /// Does `call`, unless a panic has ended an earlier one: imago asserts what tables say, and an image can say anything.
    /// What it holds back by then is not to be trusted.
    fn attempt(&self, call: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.broken.load(Ordering::Acquire) {
            return Err(contradiction());
        }
        no_panic(call).unwrap_or_else(|| {
            self.broken.store(true, Ordering::Release);
            Err(contradiction())
        })
    }

    /// Does `call` with as many buffers at a time as it takes.
    fn in_parts<'a>(
        &self,
        buffers: &'a [VolatileSlice<'a>],
        mut offset: u64,
        call: impl Fn(&[&'a VolatileSlice<'a>], u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let buffers: Vec<_> = buffers.iter().filter(|buffer| !buffer.is_empty()).collect();
        for part in buffers.chunks(vectored::IOV_MAX) {
            self.attempt(|| call(part, offset))?;
            offset += part.iter().map(|buffer| buffer.len() as u64).sum::<u64>();
        }
        Ok(())
    }
}

impl Disk for Qcow2Disk {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn block_size(&self) -> BlockSize {
        FILE_BLOCK_SIZE
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.in_parts(buffers, offset, |part, offset| {
            let (buffers, _guard) = IoVectorMut::from_volatile_slice(part);
            self.image.readv(buffers, offset)
        })
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.in_parts(buffers, offset, |part, offset| {
            let (buffers, _guard) = IoVector::from_volatile_slice(part);
            self.image.writev(buffers, offset)
        })
    }

    fn write_zeroes(&self, range: Range<u64>, _unmap: bool) -> io::Result<()> {
        self.attempt(|| self.image.write_zeroes(range.start, range.end - range.start))
    }

    fn discard(&self, _range: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        if self.read_only {
            return Ok(());
        }
        // The tables go to the file, and then all of it to the medium.
        self.attempt(|| self.image.flush().and_then(|()| self.image.sync()))
    }

    fn extent_at(&self, _offset: u64, len: u64) -> io::Result<Extent> {
        Ok(Extent { len, is_zero: false })
    }
}

impl Drop for Qcow2Disk {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            log::error!("disk {}: what the guest did not flush may be lost: {error}", self.name);
        }
        // To drop an image is to flush it, which must not be done to a broken one.
        if self.broken.load(Ordering::Acquire) {
            mem::forget(Arc::clone(&self.image));
        }
    }
}

/// Opens one image of a chain, over the one below.
fn open_image(link: &Link, below: Option<Image>, options: &DiskOptions) -> Result<Image, Qcow2Error> {
    let file = match options.direct {
        true => Ok(link.opened.reopen_direct(&link.path, options)?),
        false => link.opened.file.try_clone(),
    };
    let open = |file| match &link.header {
        // What it names it must not open by itself.
        Some(_) => Qcow2::builder(file)
            .write(!options.read_only)
            .backing(below)
            .data_file(None)
            .open(DenyImplicitOpenGate::default())
            .map(FormatAccess::new),
        None => Raw::builder(file).open(DenyImplicitOpenGate::default()).map(FormatAccess::new),
    };
    file.and_then(imago::file::File::try_from)
        .and_then(|file| no_panic(|| open(file)).unwrap_or_else(|| Err(contradiction())))
        .map_err(|source| Qcow2Error::Tables { path: link.path.clone(), source })
}

/// The result of `call`, unless it panics.
fn no_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(call)).ok()
}

fn contradiction() -> io::Error {
    io::Error::other("the image's tables contradict each other")
}

#[cfg(test)]
#[path = "qcow2_test.rs"]
mod tests;
