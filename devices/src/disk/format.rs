//! Which format a disk has, and how not to be misled about it.
//!
//! A guest owns every byte of a raw disk. If it writes what another format begins with, whoever guesses the format next
//! opens whatever file of the host those bytes name. So a disk that was taken for raw because it looked like nothing
//! else stays one: the write that would change its looks is refused.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use vm_memory::VolatileSlice;

use super::{
    BlockSize, Direction, Disk, Extent, SECTOR_SIZE,
    probe::Looks,
    qcow2::{Overlay, Qcow2Disk, Qcow2Error, Qcow2Options},
    raw::{DiskError, DiskOptions, Opened, RawDisk},
    vmdk::{Vmdk, VmdkError, VmdkOptions, piece},
};
use crate::printable::ToPrintable;

/// The part of a disk that gives it its looks: a sector.
const SECTOR_LEN: usize = 512;

/// A format of disk images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The file's bytes are the disk's.
    Raw,
    /// QEMU's.
    Qcow2,
    /// VMware's.
    Vmdk,
}

impl Format {
    /// What QEMU calls it, and everybody else.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
        }
    }

    /// What an image means by `name`, as the format of its backing file.
    pub(super) fn recorded(name: &str) -> Option<Self> {
        match name {
            "raw" | "file" | "host_device" => Some(Self::Raw),
            "qcow2" => Some(Self::Qcow2),
            "vmdk" => Some(Self::Vmdk),
            _ => None,
        }
    }
}

/// How to open an image of any format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// How to open its file.
    pub disk: DiskOptions,
    /// Its format; without, what it looks like.
    pub format: Option<Format>,
    /// Where files that the image names may be, besides its own folder and what is below it.
    pub backing_root: Option<PathBuf>,
    /// Where what is written goes; without, into the image. With it, the image is only read.
    pub overlay: Option<Overlay>,
}

/// Why an image can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its file can't be.
    #[error(transparent)]
    File(#[from] DiskError),
    /// It is no good qcow2 image.
    #[error(transparent)]
    Qcow2(#[from] Qcow2Error),
    /// It can't be read.
    #[error("disk {} can't be read", path.printable())]
    Read {
        /// The image.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// It is no good vmdk image.
    #[error(transparent)]
    Vmdk(#[from] VmdkError),
    /// qemu-img would take it for a format that nvmm doesn't read.
    #[error("disk {} {}", path.printable(), looks.way_out(path))]
    Foreign {
        /// The image.
        path: PathBuf,
        /// What it looks like.
        looks: Looks,
    },
}

/// Opens and locks the image at `path`.
///
/// # Errors
///
/// Those of its format: [`RawDisk::open`], [`Qcow2Disk::open`], [`Vmdk::open`]. With an overlay: that can't be made, or is
/// there and not one of this image.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Arc<dyn Disk>, OpenError> {
    // A vmdk is never written to, so it need not be writable.
    let read_only =
        options.disk.read_only || options.overlay.is_some() || options.format == Some(Format::Vmdk);
    let disk = DiskOptions { read_only, ..options.disk };
    let opened = Opened::open(path, &disk)?;
    let format = match options.format {
        Some(format) => Some(format),
        None => looks(&opened, path)?,
    };
    let qcow2 = |disk| Qcow2Options { disk, backing_root: options.backing_root.clone() };
    if let Some(overlay) = &options.overlay {
        let format = format.unwrap_or(Format::Raw);
        return Ok(Arc::new(Qcow2Disk::over(path, format, overlay, &qcow2(options.disk))?));
    }
    Ok(match format {
        Some(Format::Raw) => Arc::new(RawDisk::new(opened, path, &disk)?),
        Some(Format::Qcow2) => Arc::new(Qcow2Disk::new(opened, path, &qcow2(disk))?),
        Some(Format::Vmdk) => {
            // It locks its files in its own way.
            drop(opened);
            Arc::new(Vmdk::open(path, &VmdkOptions { backing_root: options.backing_root.clone() })?)
        }
        None => {
            if let Some(whole) = piece::descriptor_of(path) {
                let (path, whole) = (path.printable(), whole.printable());
                log::warn!(
                    "disk {path} is a piece of {whole}, by its name, and used as a disk by itself; give {whole} instead"
                );
            }
            Arc::new(GuessedRaw(RawDisk::new(opened, path, &disk)?))
        }
    })
}

/// The format that [`open`] takes the image at `path` for, unless told one. Nothing is locked.
///
/// # Errors
///
/// There is no such file, it can't be read, or it is of a format that nvmm doesn't read.
pub fn of(path: &Path) -> Result<Format, OpenError> {
    Ok(looks(&Opened::look(path)?, path)?.unwrap_or(Format::Raw))
}

/// The format that the file looks like; `None`: none, so it is raw.
pub(super) fn looks(opened: &Opened, path: &Path) -> Result<Option<Format>, OpenError> {
    let looks = first_sector(opened).map_err(|source| OpenError::Read { path: path.to_owned(), source })?;
    let looks = Looks::of(&looks).or_else(|| Looks::named(path));
    match looks.map(|looks| (looks, looks.format())) {
        Some((looks, None)) => Err(OpenError::Foreign { path: path.to_owned(), looks }),
        Some((_, format)) => Ok(format),
        None => Ok(None),
    }
}

/// The first sector, with zeros behind the end of a shorter file.
fn first_sector(opened: &Opened) -> io::Result<[u8; SECTOR_LEN]> {
    let mut start = [0; SECTOR_LEN];
    let len = opened.len.min(SECTOR_SIZE);
    opened.file.read_exact_at(&mut start[..usize::try_from(len).map_err(io::Error::other)?], 0)?;
    Ok(start)
}

/// A disk that was taken for raw by its looks.
#[derive(Debug)]
struct GuessedRaw(RawDisk);

impl GuessedRaw {
    /// Writes to the first sector what is in `buffers` for it, from `offset` on, unless the disk would look like another
    /// format's image then. What was looked at is what is written: the guest can change its memory at any time.
    fn write_first(&self, buffers: &[VolatileSlice<'_>], offset: usize) -> io::Result<()> {
        let mut after = [0; SECTOR_LEN];
        self.0.read_at(&[VolatileSlice::from(&mut after[..])], 0)?;
        let mut rest = &mut after[offset..];
        for buffer in buffers {
            let copied = buffer.copy_to(rest);
            rest = &mut rest[copied..];
        }
        if let Some(looks) = Looks::of(&after) {
            return Err(io::Error::other(format!(
                "it would make the disk look like a {} image, and no format was given; add format=raw to allow that",
                looks.name()
            )));
        }
        self.0.write_at(&[VolatileSlice::from(&mut after[..])], 0)
    }
}

impl Disk for GuessedRaw {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn measure(&self) -> io::Result<u64> {
        self.0.measure()
    }

    fn is_read_only(&self) -> bool {
        self.0.is_read_only()
    }

    fn block_size(&self) -> BlockSize {
        self.0.block_size()
    }

    fn read_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        self.0.read_at(buffers, offset)
    }

    fn write_at(&self, buffers: &[VolatileSlice<'_>], offset: u64) -> io::Result<()> {
        let offset_in_first = usize::try_from(offset).ok().filter(|&offset| offset < SECTOR_LEN);
        let Some(offset_in_first) = offset_in_first else {
            return self.0.write_at(buffers, offset);
        };
        self.write_first(buffers, offset_in_first)?;
        let mut skip = SECTOR_LEN - offset_in_first;
        let mut rest = Vec::new();
        for buffer in buffers {
            let skipped = skip.min(buffer.len());
            skip -= skipped;
            rest.push(buffer.offset(skipped).map_err(io::Error::other)?);
        }
        self.0.write_at(&rest, SECTOR_SIZE)
    }

    fn write_zeroes(&self, range: Range<u64>, unmap: bool) -> io::Result<()> {
        self.0.write_zeroes(range, unmap)
    }

    fn discard(&self, range: Range<u64>) -> io::Result<()> {
        self.0.discard(range)
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }

    fn extent_at(&self, offset: u64, len: u64) -> io::Result<Extent> {
        self.0.extent_at(offset, len)
    }

    fn files(&self) -> Vec<&File> {
        self.0.files()
    }

    fn file_for(&self, direction: Direction, buffers: &[VolatileSlice<'_>], offset: u64) -> Option<usize> {
        let looked_at = direction == Direction::Write && offset < SECTOR_SIZE;
        if looked_at { None } else { self.0.file_for(direction, buffers, offset) }
    }
}

#[cfg(test)]
#[path = "format_test.rs"]
mod tests;
