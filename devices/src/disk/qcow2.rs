//! qcow2 images, with their backing files.
//!
//! imago reads and writes the format. Images that it must not read are refused before ([`super::guard`]). Every file that it uses was
//! opened, locked and permitted here (`chain`), and its writes are put in an order that survives a crash of the host (`order`).

mod chain;
mod counter;
pub mod create;
mod driver;
mod error;
pub mod grow;
mod locks;
pub(super) mod look;
mod name;
mod order;
mod overlay;
mod release;
mod storage;
mod tables;
#[cfg(test)]
mod testing;

pub use error::Qcow2Error;

use std::{
    fs::File,
    io,
    ops::Range,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use imago::{
    DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder, Mapping,
    io_buffers::{IoVector, IoVectorMut},
    qcow2::Qcow2,
    raw::Raw,
};
use vm_memory::VolatileSlice;

use self::{
    chain::{Chain, Link, Parts},
    driver::Driver,
    order::Order,
    overlay::OpenOverlay,
    storage::Store,
};
pub use super::options::{Overlay, Qcow2Options};
use super::{
    BlockSize, Disk, Extent, SECTOR_SIZE,
    format::Format,
    guard::Layout,
    lock::LockedFile,
    options::DiskOptions,
    raw::{FILE_BLOCK_SIZE, Opened},
};
use crate::{printable::ToPrintable, vectored};

/// imago's side of an image.
type Image = FormatAccess<Store>;

/// An open qcow2 image. It and all of its backing files stay locked until it is dropped.
#[derive(Debug)]
pub struct Qcow2Disk {
    name: String,
    /// Locked for writing by operations that take clusters away, because nobody else may use them then. It comes before the files, because
    /// dropping it writes cached data; `None` once that can't be trusted.
    image: RwLock<Option<Image>>,
    top: Top,
    /// The locked files. Those of the image that is written to come last.
    locked: Vec<LockedFile>,
    size: u64,
    read_only: bool,
    broken: AtomicBool,
    /// The locks were given to another process: nothing is written to the image.
    given: AtomicBool,
}

/// Facts about the image that is written to.
#[derive(Debug)]
struct Top {
    layout: Layout,
    /// The image can mark clusters as zeros.
    can_zero: bool,
    /// Clusters that it lacks are in a backing file.
    has_backing: bool,
    /// The file with the disk's clusters, opened through the page cache.
    data: Option<File>,
    /// The number of its files.
    files: usize,
    /// The order of writes. None if the image is only read, or if nobody will read it again.
    order: Option<Arc<Order>>,
}

impl Qcow2Disk {
    /// Opens and locks the image at `path`, and all of its backing files.
    ///
    /// # Errors
    ///
    /// The errors of [`super::raw::RawDisk::open`], for any file of the chain; an image can't be read; a backing file is not permitted, or
    /// its format is not recorded.
    pub fn open(path: &Path, options: &Qcow2Options) -> Result<Self, Qcow2Error> {
        Self::new(Opened::open(path, &options.disk)?, path, options)
    }

    /// Uses a file that was opened with the same `path` and `options`.
    pub(super) fn new(opened: Opened, path: &Path, options: &Qcow2Options) -> Result<Self, Qcow2Error> {
        let Chain { top, below } = chain::open(path, opened, options)?;
        let mut locked = Vec::new();
        let below = open_images(below, options, &mut locked)?;
        let (image, top) = open_image(top, below, &options.disk, false, &mut locked)?;
        Ok(Self::of(image, top, path, options, locked))
    }

    /// Uses a file of any format, which was opened with the same `path`, only for reading, and puts an overlay over it.
    pub(super) fn over(
        opened: Opened,
        path: &Path,
        format: Format,
        overlay: &Overlay,
        options: &Qcow2Options,
    ) -> Result<Self, Qcow2Error> {
        let mut locked = Vec::new();
        let base = open_images(chain::open_base(opened, path, format, options)?, options, &mut locked)?;
        let size = base.as_ref().map_or(0, Image::size).next_multiple_of(SECTOR_SIZE);
        let overlay = OpenOverlay::open(overlay, path, format, size, options)?;
        let is_temp = overlay.is_temp;
        let disk = DiskOptions { direct: options.disk.direct && !is_temp, ..options.disk };
        let (image, top) = overlay.open_by(|parts| open_image(parts, base, &disk, is_temp, &mut locked))?;
        Ok(Self::of(image, top, path, options, locked))
    }

    fn of(image: Image, top: Top, path: &Path, options: &Qcow2Options, locked: Vec<LockedFile>) -> Self {
        Self {
            name: path.printable().to_string(),
            size: image.size(),
            image: RwLock::new(Some(image)),
            top,
            locked,
            given: AtomicBool::new(false),
            read_only: options.disk.read_only,
            broken: AtomicBool::new(false),
        }
    }

    /// Calls `call` with the image, while others may use it too.
    fn shared(&self, call: impl FnOnce(&Image) -> io::Result<()>) -> io::Result<()> {
        let image = self.image.read().unwrap_or_else(PoisonError::into_inner);
        let image = image.as_ref().ok_or_else(contradiction)?;
        self.attempt(|| call(image))
    }

    /// Calls `call` with the image, while nobody else uses it.
    fn alone(&self, call: impl FnOnce(&mut Image) -> io::Result<()>) -> io::Result<()> {
        let mut image = self.image.write().unwrap_or_else(PoisonError::into_inner);
        let image = image.as_mut().ok_or_else(contradiction)?;
        if let Some(order) = &self.top.order {
            order.at_rest();
        }
        self.attempt(|| call(image))
    }

    /// Calls `call`, unless an earlier call has panicked: imago asserts what tables contain, and an image can contain anything. Data that
    /// imago has cached can't be trusted then.
    fn attempt(&self, call: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.broken.load(Ordering::Acquire) {
            return Err(contradiction());
        }
        no_panic(call).unwrap_or_else(|| {
            self.broken.store(true, Ordering::Release);
            Err(contradiction())
        })
    }

    /// Calls `call` repeatedly, each time with as many buffers as it accepts.
    fn in_parts<'a>(
        &self,
        buffers: &'a [VolatileSlice<'a>],
        mut offset: u64,
        call: impl Fn(&[&'a VolatileSlice<'a>], u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let buffers: Vec<_> = buffers.iter().filter(|buffer| !buffer.is_empty()).collect();
        for part in buffers.chunks(vectored::IOV_MAX) {
            call(part, offset)?;
            offset += part.iter().map(|buffer| buffer.len() as u64).sum::<u64>();
        }
        Ok(())
    }

    /// Writes data that lies within one L2 table.
    fn write_part(&self, buffers: IoVector<'_>, offset: u64) -> io::Result<()> {
        let range = offset..offset + buffers.len();
        match &self.top.order {
            // imago allocates a cluster for a new table before it writes back that the cluster was freed.
            Some(order) if !order.maps(&range) => self.alone(|image| {
                self.make_room(image, &range)?;
                image.writev(buffers, offset)
            }),
            _ => self.shared(|image| image.writev(buffers, offset)),
        }
    }

    /// Ensures that new tables for a `range` of the disk fit into the file.
    fn make_room(&self, image: &Image, range: &Range<u64>) -> io::Result<()> {
        match &self.top.order {
            Some(order) if order.has_freed() && !order.maps(range) => order.sync(|| image.flush()),
            _ => Ok(()),
        }
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
        let cluster = 1 << self.top.layout.cluster_bits;
        BlockSize { optimal: cluster.max(FILE_BLOCK_SIZE.physical), discard: cluster, ..FILE_BLOCK_SIZE }
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.in_parts(buffers, offset, |part, offset| {
            let (buffers, _guard) = IoVectorMut::from_volatile_slice(part);
            self.shared(|image| image.readv(buffers, offset))
        })
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        let covered = self.top.layout.l2_covers();
        self.in_parts(buffers, offset, |part, mut offset| {
            let (mut rest, _guard) = IoVector::from_volatile_slice(part);
            while !rest.is_empty() {
                let len = rest.len().min(covered - offset % covered);
                let (part, behind) = rest.split_at(len);
                self.write_part(part, offset)?;
                offset += len;
                rest = behind;
            }
            Ok(())
        })
    }

    fn write_zeroes(&self, range: Range<u64>, unmap: bool) -> io::Result<()> {
        self.zero(range, unmap)
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        self.release(range)
    }

    fn flush(&self) -> io::Result<()> {
        match &self.top.order {
            Some(order) => self.shared(|image| order.sync(|| image.flush())),
            None => Ok(()),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.give_locks()
    }

    fn lock_again(&self) -> io::Result<Option<String>> {
        self.take_locks()
    }

    fn extent_at(&self, offset: u64, len: u64) -> io::Result<Extent> {
        let mut extent = Extent { len, is_zero: false };
        self.shared(|image| {
            let (mapping, len) = image.get_mapping(offset, len)?;
            extent = match mapping {
                Mapping::Zero { .. } => Extent { len, is_zero: true },
                Mapping::Raw { storage, offset, .. } => storage.extent_at(offset, len)?,
                _ => Extent { len, is_zero: false },
            };
            extent.len = extent.len.min(len);
            Ok(())
        })?;
        Ok(extent)
    }
}

/// Opens the backing images for reading, the topmost first. Adds their files to `locked`.
fn open_images(
    links: Vec<Link>,
    options: &Qcow2Options,
    locked: &mut Vec<LockedFile>,
) -> Result<Option<Image>, Qcow2Error> {
    let options = DiskOptions { read_only: true, ..options.disk };
    let raw = |store| Raw::builder(store).open(DenyImplicitOpenGate::default()).map(FormatAccess::new);
    links.into_iter().rev().try_fold(None, |below, link| {
        let (path, image) = match link {
            Link::Qcow2(parts) => {
                let (image, _) = open_image(*parts, below, &options, false, locked)?;
                return Ok(Some(image));
            }
            Link::Raw(path, opened) => {
                let file = imago_file(&opened, &path, &options)?;
                locked.push(opened.file);
                (path, no_panic(|| raw(file.into())))
            }
            Link::Vmdk(path, vmdk) => (path, no_panic(|| raw(vmdk.into()))),
        };
        let image = image.unwrap_or_else(|| Err(contradiction())).map(Some);
        image.map_err(|source| Qcow2Error::Tables { path, source })
    })
}

/// Opens a qcow2 image over the one below it. Adds its files to `locked`.
fn open_image(
    parts: Parts,
    below: Option<Image>,
    options: &DiskOptions,
    is_temp: bool,
    locked: &mut Vec<LockedFile>,
) -> Result<(Image, Top), Qcow2Error> {
    let Parts { path, header, opened, data } = parts;
    let failed = |source| Qcow2Error::Tables { path: path.clone(), source };
    let order = match options.read_only || is_temp {
        true => None,
        false => {
            let files = opened.file.try_clone().and_then(|file| Ok((file, copy(data.as_ref())?)));
            let order = files.and_then(|(file, data)| Order::new(file, data, header.layout));
            Some(Arc::new(order.map_err(failed)?))
        }
    };
    let top = Top {
        layout: header.layout,
        can_zero: header.can_zero,
        has_backing: below.is_some(),
        data: copy(data.as_ref().or(Some(&opened))).map_err(failed)?,
        files: 1 + usize::from(data.is_some()),
        order: order.clone(),
    };
    let mut imago_file = |opened: Opened| {
        let file = imago_file(&opened, &path, options)?;
        locked.push(opened.file);
        Ok::<_, Qcow2Error>((file, order.clone()))
    };
    let data = data.map(&mut imago_file).transpose()?.map(|opened| match opened {
        (file, Some(order)) => Store::Data(file, order),
        (file, None) => file.into(),
    });
    let image = match imago_file(opened)? {
        (file, Some(order)) => Store::Ordered(file, order, header.view),
        (file, None) => Store::File(file, header.view),
    };
    // imago must not open the files that the image names by itself.
    let builder = Qcow2::builder(image).write(!options.read_only).backing(below).data_file(data);
    let image = no_panic(|| {
        let imago = builder.open(DenyImplicitOpenGate::default())?;
        Ok(FormatAccess::new(Driver::new(imago, header.layout.cluster_size())))
    });
    let image = image.unwrap_or_else(|| Err(contradiction())).map_err(failed)?;
    if let Some(order) = &order {
        order.opened();
    }
    Ok((image, top))
}

/// Makes a file for imago.
fn imago_file(opened: &Opened, path: &Path, options: &DiskOptions) -> Result<imago::file::File, Qcow2Error> {
    let file = match options.direct {
        true => Ok(opened.reopen_direct(path, options)?),
        false => opened.file.try_clone(),
    };
    file.and_then(TryInto::try_into).map_err(|source| Qcow2Error::Tables { path: path.to_owned(), source })
}

/// Opens another descriptor of the same file.
fn copy(opened: Option<&Opened>) -> io::Result<Option<File>> {
    opened.map(|opened| opened.file.try_clone()).transpose()
}

/// The result of `call`; none if it panics.
fn no_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(call)).ok()
}

fn contradiction() -> io::Error {
    io::Error::other("the image's tables contradict each other")
}

#[cfg(test)]
#[path = "qcow2_test.rs"]
mod tests;
