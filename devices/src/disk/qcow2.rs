//! qcow2 images, with all that they are differences to.
//!
//! imago knows the format. What it must not be asked to read is refused before ([`super::guard`]), and every file that
//! it works on was opened, locked and allowed here ([`chain`]).

mod chain;
pub mod create;
pub mod grow;
pub(super) mod look;
mod overlay;
mod references;
mod storage;
mod tables;
#[cfg(test)]
mod testing;

pub use overlay::Overlay;

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

use self::{
    chain::{Chain, Link},
    create::CreateError,
    overlay::OpenOverlay,
    references::References,
    storage::Store,
};
use super::{
    BlockSize, Disk, Extent, SECTOR_SIZE,
    format::Format,
    guard::HeaderError,
    raw::{DiskError, DiskOptions, FILE_BLOCK_SIZE, Opened},
    vectored,
    vmdk::VmdkError,
};

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
    #[error("the backing file {name} of disk {} is {format}; only qcow2, raw and vmdk can be read", path.display())]
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
    /// The backing file is a vmdk, and no good one.
    #[error(transparent)]
    Vmdk(#[from] VmdkError),
    /// There is no place for a temporary overlay.
    #[error(
        "a temporary overlay can't be made in {}; name a folder that has space by the environment's TMPDIR",
        path.display()
    )]
    Temp {
        /// The folder.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// An overlay can't be made.
    #[error("an overlay can't be made")]
    Create(#[from] CreateError),
    /// A file whose name an overlay can't hold.
    #[error("an overlay can't name {}, which is not UTF-8", path.display())]
    NotAName {
        /// The file.
        path: PathBuf,
    },
    /// What was given as an overlay is a whole disk.
    #[error("overlay {} is none, but a disk by itself, and is not overwritten; name another file", path.display())]
    NoOverlay {
        /// The image.
        path: PathBuf,
    },
    /// What was given as an overlay is one of something else.
    #[error("overlay {} is one of {name}, not of {}; name another file", path.display(), base.display())]
    OtherOverlay {
        /// The image.
        path: PathBuf,
        /// Its backing file.
        name: String,
        /// The disk.
        base: PathBuf,
    },
    /// The overlay takes the disk for something else.
    #[error(
        "overlay {} takes {} for {recorded}, but it is opened as {format}; add format={recorded}, or name another file",
        path.display(), base.display()
    )]
    OverlayFormat {
        /// The image.
        path: PathBuf,
        /// The format that it says.
        recorded: String,
        /// The disk.
        base: PathBuf,
        /// The format of that.
        format: &'static str,
    },
}

/// imago's side of an image.
type Image = FormatAccess<Store>;

/// An open qcow2 image. It and all below it are locked until it is dropped.
#[derive(Debug)]
pub struct Qcow2Disk {
    name: String,
    // Before the files, because dropping it writes what it holds back.
    image: Arc<Image>,
    _locked: Vec<File>,
    size: u64,
    read_only: bool,
    /// Nothing of it will be there after it is dropped.
    is_temp: bool,
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
        let mut locked = Vec::new();
        let below = open_images(below, options, &mut locked)?;
        let image = open_image(top, below, &options.disk, &mut locked)?;
        Ok(Self::of(image, path, options.disk.read_only, locked))
    }

    /// Opens and locks the disk at `path`, of any format, and all below it, to be read; and puts an overlay over it.
    pub(super) fn over(
        path: &Path,
        format: Format,
        overlay: &Overlay,
        options: &Qcow2Options,
    ) -> Result<Self, Qcow2Error> {
        let mut locked = Vec::new();
        let base = open_images(chain::open_base(path, format, options)?, options, &mut locked)?;
        let size = base.as_ref().map_or(0, Image::size).next_multiple_of(SECTOR_SIZE);
        let overlay = OpenOverlay::open(overlay, path, format, size, &options.disk)?;
        let is_temp = overlay.is_temp;
        let disk = DiskOptions { direct: options.disk.direct && !is_temp, ..options.disk };
        let image = overlay.open_by(|link| open_image(link, base, &disk, &mut locked))?;
        let mut disk = Self::of(image, path, options.disk.read_only, locked);
        disk.is_temp = is_temp;
        Ok(disk)
    }

    fn of(image: Image, path: &Path, read_only: bool, locked: Vec<File>) -> Self {
        Self {
            name: path.display().to_string(),
            size: image.size(),
            image: Arc::new(image),
            broken: AtomicBool::new(false),
            read_only,
            is_temp: false,
            _locked: locked,
        }
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
        if self.read_only || self.is_temp {
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

/// Opens the images below another, which come from the top on, to be read. Puts their files into `locked`.
fn open_images(
    links: Vec<Link>,
    options: &Qcow2Options,
    locked: &mut Vec<File>,
) -> Result<Option<Image>, Qcow2Error> {
    let options = DiskOptions { read_only: true, ..options.disk };
    links.into_iter().rev().try_fold(None, |below, link| open_image(link, below, &options, locked).map(Some))
}

/// Opens one image of a chain, over the one below. Puts its file into `locked`.
fn open_image(
    link: Link,
    below: Option<Image>,
    options: &DiskOptions,
    locked: &mut Vec<File>,
) -> Result<Image, Qcow2Error> {
    let path = link.path;
    let failed = |source| Qcow2Error::Tables { path: path.clone(), source };
    let is_qcow2 = matches!(link.image, chain::Image::Qcow2(..));
    let mut file = |opened: Opened| {
        let file = match options.direct {
            true => Ok(opened.reopen_direct(&path, options)?),
            false => opened.file.try_clone(),
        };
        let file = file.and_then(imago::file::File::try_from).map_err(failed)?;
        let references = (is_qcow2 && !options.read_only).then(|| opened.file.try_clone());
        locked.push(opened.file);
        Ok::<Store, Qcow2Error>(match references {
            Some(file_again) => Store::Image(file, file_again.and_then(References::new).map_err(failed)?),
            None => file.into(),
        })
    };
    let raw = |store| Raw::builder(store).open(DenyImplicitOpenGate::default()).map(FormatAccess::new);
    let image = match link.image {
        chain::Image::Qcow2(opened, _) => {
            let builder = Qcow2::builder(file(opened)?).write(!options.read_only);
            // What it names it must not open by itself.
            let builder = builder.backing(below).data_file(None);
            no_panic(|| builder.open(DenyImplicitOpenGate::default()).map(FormatAccess::new))
        }
        chain::Image::Raw(opened) => {
            let store = file(opened)?;
            no_panic(|| raw(store))
        }
        chain::Image::Vmdk(vmdk) => no_panic(|| raw(vmdk.into())),
    };
    image.unwrap_or_else(|| Err(contradiction())).map_err(failed)
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
