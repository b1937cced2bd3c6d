//! Facts about an image, which is only looked at: it may be broken, or in use by others.

use std::path::Path;

use super::{
    format::Format,
    image::{self, OpenError},
    options::{DiskOptions, OpenOptions},
    qcow2,
    raw::Opened,
    vmdk,
};
pub use super::{
    guard::facts::Qcow2Facts,
    link::{Details, LinkInfo},
    vmdk::facts::{VmdkExtent, VmdkFacts},
};

/// The facts of an image.
#[derive(Debug)]
pub struct Info {
    /// The image, its backing file, that one's backing file and so on, as far as they could be followed.
    pub links: Vec<LinkInfo>,
    /// The reason why it can't be used, if it can't.
    pub wrong: Option<OpenError>,
}

/// Reads the facts of the image at `path`: first of it and of the files that it names, without any lock; then, if nobody writes to them,
/// tries to open it.
///
/// # Errors
///
/// The file doesn't exist, or can't be read.
pub fn look(path: &Path, options: &OpenOptions) -> Result<Info, OpenError> {
    let opened = Opened::look(path)?;
    let format = image::found(&opened, path, options)?;
    let info = follow_from(&opened, format, path, options);
    if info.links.iter().any(|link| link.writer.is_some()) {
        return Ok(info);
    }
    let disk = DiskOptions { read_only: true, direct: false };
    let options = OpenOptions { disk, ..options.clone() };
    let locked = opened.lock(path).map_err(OpenError::from);
    let opened = locked.and_then(|()| image::open_as(format, opened, path, &options));
    Ok(Info { links: info.links, wrong: opened.err() })
}

/// Reads the facts of the image at `path` and of the files that it names, without any lock.
///
/// # Errors
///
/// The file doesn't exist, or can't be read.
pub fn follow(path: &Path, options: &OpenOptions) -> Result<Info, OpenError> {
    let opened = Opened::look(path)?;
    let format = image::found(&opened, path, options)?;
    Ok(follow_from(&opened, format, path, options))
}

/// Reads the facts of the image at `path`, which is `opened` and of this format, and of the files that it names.
fn follow_from(opened: &Opened, format: Option<Format>, path: &Path, options: &OpenOptions) -> Info {
    let root = options.backing_root.as_deref();
    let (links, wrong) = match format {
        Some(Format::Qcow2) => {
            let (links, wrong) = qcow2::look::look(path, opened, root);
            (links, wrong.map(OpenError::from))
        }
        Some(Format::Vmdk) => {
            let (links, wrong) = vmdk::look::look(path, options.backing_root.as_slice());
            (links, wrong.map(OpenError::from))
        }
        None | Some(Format::Raw) => (vec![LinkInfo::raw(path, opened, format.is_none())], None),
    };
    Info { links, wrong }
}

#[cfg(test)]
#[path = "info_test.rs"]
mod tests;
