//! Images of any format: this finds the format, and opens the disk with it.

mod error;

pub use error::OpenError;

use std::{io, os::unix::fs::FileExt, path::Path, sync::Arc};

pub use super::options::OpenOptions;
use super::{
    Disk, SECTOR_SIZE,
    format::Format,
    guessed::GuessedRaw,
    options::{DiskOptions, Qcow2Options},
    probe::{Looks, SECTOR_LEN},
    qcow2::Qcow2Disk,
    raw::{Opened, RawDisk},
    vmdk::{Vmdk, piece},
};
use crate::printable::ToPrintable;

/// An open image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The disk, which includes the overlay if there is one.
    pub disk: Arc<dyn Disk>,
    /// The format, given or found.
    pub format: Format,
}

/// Opens and locks the image at `path`.
///
/// # Errors
///
/// The errors of its format: [`RawDisk::open`], [`Qcow2Disk::open`], [`Vmdk::open`]. With an overlay: it can't be made, or it exists and is
/// not one of this image.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Image, OpenError> {
    let opened = Opened::open(path, &file_options(options))?;
    let format = found(&opened, path, options)?;
    open_as(format, opened, path, options)
}

/// Opens a file as the format that was [`found`]. It was opened and locked with the same `path` and `options`.
pub(super) fn open_as(
    found: Option<Format>,
    opened: Opened,
    path: &Path,
    options: &OpenOptions,
) -> Result<Image, OpenError> {
    let format = found.unwrap_or_else(|| {
        warn_of_name(path);
        Format::Raw
    });
    let disk = file_options(options);
    let qcow2 = |disk| Qcow2Options { disk, backing_root: options.backing_root.clone() };
    if let Some(overlay) = &options.overlay {
        let disk = Qcow2Disk::over(opened, path, format, overlay, &qcow2(options.disk))?;
        return Ok(Image { disk: Arc::new(disk), format });
    }
    let disk: Arc<dyn Disk> = match found {
        Some(Format::Raw) => Arc::new(RawDisk::new(opened, path, &disk)?),
        Some(Format::Qcow2) => Arc::new(Qcow2Disk::new(opened, path, &qcow2(disk))?),
        Some(Format::Vmdk) => Arc::new(Vmdk::new(opened, path, options.backing_root.as_slice())?),
        None => Arc::new(GuessedRaw(RawDisk::new(opened, path, &disk)?)),
    };
    Ok(Image { disk, format })
}

/// Warns if a file that was taken for raw has the name of something else.
fn warn_of_name(path: &Path) {
    let disk = path.printable();
    if let Some(whole) = piece::descriptor_of(path) {
        let whole = whole.printable();
        log::warn!(
            "disk {disk} is a piece of {whole}, by its name, and used as a disk by itself; give {whole} instead"
        );
    } else if let Some(promised) = Looks::promised(path) {
        log::warn!(
            "disk {disk} is named as a {} image, but does not begin as one, and is used as raw; if that is meant, \
             say so by format=raw (nvmm disk: -f raw)",
            promised.name()
        );
    }
}

/// The format of the file: the given one, or the one that it looks like. `None` if it looks like none, so that it is raw.
pub(super) fn found(
    opened: &Opened,
    path: &Path,
    options: &OpenOptions,
) -> Result<Option<Format>, OpenError> {
    if options.format.is_some() {
        return Ok(options.format);
    }
    let looks = first_sector(opened).map_err(|source| OpenError::Read { path: path.to_owned(), source })?;
    let looks = Looks::of(&looks).or_else(|| Looks::named(path));
    match looks.map(|looks| (looks, looks.format())) {
        Some((looks, None)) => Err(OpenError::Foreign { path: path.to_owned(), looks }),
        Some((_, format)) => Ok(format),
        None => Ok(None),
    }
}

/// The options for opening the image's file: read-only, if writes go elsewhere or the format takes none.
fn file_options(options: &OpenOptions) -> DiskOptions {
    let read_only =
        options.disk.read_only || options.overlay.is_some() || options.format == Some(Format::Vmdk);
    DiskOptions { read_only, ..options.disk }
}

/// The first sector. A shorter file is filled up with zeros.
fn first_sector(opened: &Opened) -> io::Result<[u8; SECTOR_LEN]> {
    let mut start = [0; SECTOR_LEN];
    let len = opened.len.min(SECTOR_SIZE);
    opened.file.read_exact_at(&mut start[..usize::try_from(len).map_err(io::Error::other)?], 0)?;
    Ok(start)
}

#[cfg(test)]
#[path = "image_test.rs"]
mod tests;
