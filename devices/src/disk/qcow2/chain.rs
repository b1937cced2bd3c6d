//! A qcow2 image, its backing file, that one's backing file and so on, down to an image that has none.
//!
//! The names in a header come from whoever made the image, so they are followed with care: only files of a known format, from the folders
//! where the user keeps images, and none is ever written to.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    super::{
        format::Format,
        guard::{Backing, Header},
        options::{DiskOptions, Qcow2Options},
        raw::{Opened, Problem},
        vmdk::Vmdk,
    },
    Qcow2Error,
    name::{NotAFile, file_name},
};
use crate::printable::{ToPrintable, Untrusted};

/// The most backing files below an image.
pub(super) const MAX_DEPTH: usize = 64;

/// All images of a chain, locked.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) top: Parts,
    /// The backing images, in the order in which they are searched.
    pub(super) below: Vec<Link>,
}

/// One image of a chain, by its format. Only a qcow2 image can have a backing file.
#[derive(Debug)]
pub(super) enum Link {
    Qcow2(Box<Parts>),
    Raw(PathBuf, Opened),
    Vmdk(PathBuf, Box<Vmdk>),
}

/// The files of a qcow2 image.
#[derive(Debug)]
pub(super) struct Parts {
    /// The path, made from the name in the header above it and that one's folder.
    pub(super) path: PathBuf,
    pub(super) header: Header,
    pub(super) opened: Opened,
    /// The file with the disk's clusters, if it is another one.
    pub(super) data: Option<Opened>,
}

/// The folders that backing files may be in.
pub(super) struct Roots(pub(super) Vec<PathBuf>);

/// The progress of opening a chain.
struct Walk<'a> {
    roots: Roots,
    /// The files that are open, by device and inode number.
    seen: Vec<(u64, u64)>,
    options: &'a DiskOptions,
}

/// Opens and locks the image at `path`, which is `opened`, and its backing files, the topmost first.
pub(super) fn open(path: &Path, opened: Opened, options: &Qcow2Options) -> Result<Chain, Qcow2Error> {
    let mut walk = Walk::new(path, options)?;
    let top = walk.qcow2(path, opened, &options.disk)?;
    let below = walk.below(&top.path, top.backing())?;
    Ok(Chain { top, below })
}

/// Opens and locks the image at `path`, which is `opened`, without its backing files.
pub(super) fn open_top(path: &Path, opened: Opened, options: &Qcow2Options) -> Result<Parts, Qcow2Error> {
    Walk::new(path, options)?.qcow2(path, opened, &options.disk)
}

/// Opens and locks the backing files of the image at `path`, which is `opened` for reading and of any format, the topmost first.
pub(super) fn open_base(
    opened: Opened,
    path: &Path,
    format: Format,
    options: &Qcow2Options,
) -> Result<Vec<Link>, Qcow2Error> {
    let mut walk = Walk::new(path, options)?;
    let base = match format {
        Format::Vmdk => Link::Vmdk(path.to_owned(), Vmdk::new(opened, path, &walk.roots.0)?.into()),
        _ => walk.link(path.to_owned(), format, opened)?,
    };
    let mut links = walk.below(path, base.backing())?;
    links.insert(0, base);
    Ok(links)
}

impl<'a> Walk<'a> {
    fn new(top: &Path, options: &'a Qcow2Options) -> Result<Self, Qcow2Error> {
        let roots = Roots::new(top, options.backing_root.as_deref())?;
        Ok(Self { roots, seen: Vec::new(), options: &options.disk })
    }

    /// Opens and locks the backing files of the image at `path`, of which the next is `first`.
    fn below(&mut self, path: &Path, first: Option<(&Path, &Backing)>) -> Result<Vec<Link>, Qcow2Error> {
        let mut below: Vec<Link> = Vec::new();
        while let Some((above, backing)) = below.last().map_or(first, Link::backing) {
            if below.len() == MAX_DEPTH {
                return Err(Qcow2Error::TooDeep { path: path.to_owned(), most: MAX_DEPTH });
            }
            let link = self.roots.find(above, backing).and_then(|found| {
                let identity = identity(fs::metadata(&found.real), &found.path)?;
                if self.seen.contains(&identity) {
                    return Err(Qcow2Error::Loop { path: above.to_owned(), name: backing.name.clone() });
                }
                self.open(found)
            });
            let below_it = |error| Qcow2Error::Below { path: path.to_owned(), source: Box::new(error) };
            below.push(link.map_err(below_it)?);
        }
        Ok(below)
    }

    /// Opens and locks an image for reading.
    fn open(&mut self, found: Found) -> Result<Link, Qcow2Error> {
        let Found { path, real, format } = found;
        if format == Format::Vmdk {
            let vmdk = Vmdk::open(&real, &self.roots.0)?;
            return Ok(Link::Vmdk(path, vmdk.into()));
        }
        let opened = Opened::open(&real, &self.read_only())?;
        self.link(path, format, opened)
    }

    /// Uses a file that was opened for reading, and is no vmdk.
    fn link(&mut self, path: PathBuf, format: Format, opened: Opened) -> Result<Link, Qcow2Error> {
        if format == Format::Qcow2 {
            let options = self.read_only();
            return Ok(Link::Qcow2(self.qcow2(&path, opened, &options)?.into()));
        }
        Ok(Link::Raw(path, opened))
    }

    fn read_only(&self) -> DiskOptions {
        DiskOptions { read_only: true, ..*self.options }
    }

    /// Reads the header of the image at `path`, and opens and locks its data file if it has one.
    fn qcow2(&mut self, path: &Path, opened: Opened, options: &DiskOptions) -> Result<Parts, Qcow2Error> {
        let path = path.to_owned();
        let header = match Header::read(&opened.file, opened.len, !options.read_only) {
            Ok(Ok(header)) => header,
            Ok(Err(source)) => return Err(Qcow2Error::Header { path, source }),
            Err(source) => return Err(Qcow2Error::Read { path, source }),
        };
        for flaw in &header.flaws {
            log::warn!("disk {}: {flaw}", path.printable());
        }
        self.seen.push(identity(opened.file.metadata(), &path)?);
        let data = header.data_file.as_ref().map(|name| self.data(&path, name, options)).transpose()?;
        Ok(Parts { path, header, opened, data })
    }

    /// Opens and locks the data file of the image at `image`.
    fn data(&mut self, image: &Path, name: &Untrusted, options: &DiskOptions) -> Result<Opened, Qcow2Error> {
        let (path, real) = self.roots.locate(image, name, "data file")?;
        let is_plain = fs::metadata(&real).is_ok_and(|file| file.is_file());
        let (image, name) = (image.to_owned(), name.clone());
        if !is_plain {
            return Err(Qcow2Error::NotAFile { path: image, what: "data file", name, why: NotAFile::Kind });
        }
        let identity = identity(fs::metadata(&real), &path)?;
        if self.seen.contains(&identity) {
            return Err(Qcow2Error::SharedData { path: image, name });
        }
        self.seen.push(identity);
        Ok(Opened::open(&real, options)?)
    }
}

impl Parts {
    /// The backing file, with its own path.
    pub(super) fn backing(&self) -> Option<(&Path, &Backing)> {
        Some((&self.path, self.header.backing.as_ref()?))
    }
}

impl Link {
    fn backing(&self) -> Option<(&Path, &Backing)> {
        match self {
            Self::Qcow2(parts) => parts.backing(),
            Self::Raw(..) | Self::Vmdk(..) => None,
        }
    }
}

/// A backing file that may be opened.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) real: PathBuf,
    pub(super) format: Format,
}

impl Roots {
    pub(super) fn new(image: &Path, given: Option<&Path>) -> Result<Self, Qcow2Error> {
        let real = |folder: &Path| {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            fs::canonicalize(folder).map_err(|source| Qcow2Error::Root { path: folder.to_owned(), source })
        };
        let folders = image.parent().into_iter().chain(given);
        Ok(Self(folders.map(real).collect::<Result<_, _>>()?))
    }

    /// Finds the backing file of the image at `above`.
    pub(super) fn find(&self, above: &Path, backing: &Backing) -> Result<Found, Qcow2Error> {
        let (path, name) = (above.to_owned(), backing.name.clone());
        let Some(format) = backing.format() else {
            return Err(Qcow2Error::NoFormat { path, name });
        };
        let Some(format) = format.as_str().and_then(Format::recorded) else {
            return Err(Qcow2Error::Format { path, name, format });
        };
        let (path, real) = self.locate(above, &name, "backing file")?;
        Ok(Found { path, real, format })
    }

    /// Finds a file that the image at `above` names, and resolves its path's links.
    pub(super) fn locate(
        &self,
        above: &Path,
        name: &Untrusted,
        what: &'static str,
    ) -> Result<(PathBuf, PathBuf), Qcow2Error> {
        let (path, name) = (above.to_owned(), name.clone());
        let found = match file_name(&name) {
            Ok(file) => above.parent().unwrap_or(Path::new("")).join(file.as_path()),
            Err(why) => return Err(Qcow2Error::NotAFile { path, what, name, why }),
        };
        let real = match fs::canonicalize(&found) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Problem::Missing.at(&found).into());
            }
            Err(source) => return Err(Qcow2Error::Read { path: found, source }),
        };
        if !self.0.iter().any(|root| real.starts_with(root)) {
            return Err(Qcow2Error::Outside { path, what, name });
        }
        Ok((found, real))
    }
}

/// The device and inode numbers of a file, which identify it.
pub(super) fn identity(file: io::Result<fs::Metadata>, path: &Path) -> Result<(u64, u64), Qcow2Error> {
    let file = file.map_err(|source| Qcow2Error::Read { path: path.to_owned(), source })?;
    Ok((file.dev(), file.ino()))
}

#[cfg(test)]
#[path = "chain_test.rs"]
mod tests;
