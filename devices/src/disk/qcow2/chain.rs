//! A qcow2 image and what it is a difference to, and what that is, down to an image that is whole.
//!
//! What a header names is the word of whoever made the image, so it is followed with care: only files of a known format,
//! from where the user keeps images, and none is ever written to.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    super::{
        format::Format,
        guard::{Backing, Header},
        raw::{DiskOptions, Opened, Problem},
        vmdk::Vmdk,
    },
    Qcow2Error, Qcow2Options,
};

/// The most backing files below an image.
pub(super) const MAX_DEPTH: usize = 64;

/// All images of a chain, locked.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) top: Link,
    /// In the order of reading.
    pub(super) below: Vec<Link>,
}

/// One image of a chain.
#[derive(Debug)]
pub(super) struct Link {
    /// As the header above it names it, below that one's folder.
    pub(super) path: PathBuf,
    pub(super) image: Image,
}

/// An image by its format. Only a qcow2 image can be a difference to what another file holds.
#[derive(Debug)]
pub(super) enum Image {
    Qcow2(Opened, Header),
    Raw(Opened),
    Vmdk(Box<Vmdk>),
}

/// Where backing files may be.
pub(super) struct Roots(pub(super) Vec<PathBuf>);

/// Opens and locks the image at `path`, which is `opened`, and what is below it; from the top on.
pub(super) fn open(path: &Path, opened: Opened, options: &Qcow2Options) -> Result<Chain, Qcow2Error> {
    let top = Link::qcow2(path.to_owned(), opened, !options.disk.read_only)?;
    let below = below(&top, options)?;
    Ok(Chain { top, below })
}

/// Opens and locks the image at `path`, whatever its format, to be read, and what is below it; from the top on.
pub(super) fn open_base(
    path: &Path,
    format: Format,
    options: &Qcow2Options,
) -> Result<Vec<Link>, Qcow2Error> {
    let roots = Roots::new(path, options.backing_root.as_deref())?;
    let found = Found { path: path.to_owned(), real: path.to_owned(), format };
    let base = found.open(&roots, &DiskOptions { read_only: true, ..options.disk })?;
    let mut links = below(&base, options)?;
    links.insert(0, base);
    Ok(links)
}

/// Opens and locks what is below `top`.
fn below(top: &Link, options: &Qcow2Options) -> Result<Vec<Link>, Qcow2Error> {
    let path = &top.path;
    let Image::Qcow2(opened, _) = &top.image else { return Ok(Vec::new()) };
    let roots = Roots::new(path, options.backing_root.as_deref())?;
    let mut seen = vec![identity(opened.file.metadata(), path)?];
    let mut below: Vec<Link> = Vec::new();
    while let Some((above, backing)) = below.last().unwrap_or(top).backing() {
        if below.len() == MAX_DEPTH {
            return Err(Qcow2Error::TooDeep { path: path.to_owned(), most: MAX_DEPTH });
        }
        let link = roots.find(above, backing).and_then(|found| {
            let identity = identity(fs::metadata(&found.real), &found.path)?;
            if seen.contains(&identity) {
                return Err(Qcow2Error::Loop { path: above.to_owned(), name: backing.name.clone() });
            }
            seen.push(identity);
            found.open(&roots, &DiskOptions { read_only: true, ..options.disk })
        });
        let below_it = |error| Qcow2Error::Below { path: path.to_owned(), source: Box::new(error) };
        below.push(link.map_err(below_it)?);
    }
    Ok(below)
}

impl Link {
    pub(super) fn qcow2(path: PathBuf, opened: Opened, writing: bool) -> Result<Self, Qcow2Error> {
        match Header::read(&opened.file, opened.len, writing) {
            Ok(Ok(header)) => Ok(Self { path, image: Image::Qcow2(opened, header) }),
            Ok(Err(source)) => Err(Qcow2Error::Header { path, source }),
            Err(source) => Err(Qcow2Error::Read { path, source }),
        }
    }

    /// What it is a difference to, and its own path.
    pub(super) fn backing(&self) -> Option<(&Path, &Backing)> {
        match &self.image {
            Image::Qcow2(_, header) => Some((&self.path, header.backing.as_ref()?)),
            Image::Raw(_) | Image::Vmdk(_) => None,
        }
    }
}

/// A backing file that may be opened.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) real: PathBuf,
    pub(super) format: Format,
}

impl Found {
    fn open(self, roots: &Roots, options: &DiskOptions) -> Result<Link, Qcow2Error> {
        let path = self.path;
        Ok(match self.format {
            Format::Qcow2 => Link::qcow2(path, Opened::open(&self.real, options)?, false)?,
            Format::Raw => Link { path, image: Image::Raw(Opened::open(&self.real, options)?) },
            Format::Vmdk => {
                Link { path, image: Image::Vmdk(Vmdk::open_within(&self.real, &roots.0)?.into()) }
            }
        })
    }
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

    /// Finds the backing file that the image at `above` names.
    pub(super) fn find(&self, above: &Path, backing: &Backing) -> Result<Found, Qcow2Error> {
        let (path, name) = (above.to_owned(), backing.name.clone());
        let Some(format) = backing.format.as_deref() else {
            return Err(Qcow2Error::NoFormat { path, name });
        };
        let Some(format) = Format::recorded(format) else {
            return Err(Qcow2Error::Format { path, name, format: format.to_owned() });
        };
        let Some(file) = file_name(&name) else {
            return Err(Qcow2Error::NotAFile { path, name });
        };
        let found = above.parent().unwrap_or(Path::new("")).join(file);
        let real = match fs::canonicalize(&found) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Problem::Missing.at(&found).into());
            }
            Err(source) => return Err(Qcow2Error::Read { path: found, source }),
        };
        if !self.0.iter().any(|root| real.starts_with(root)) {
            return Err(Qcow2Error::Outside { path, name });
        }
        Ok(Found { path: found, real, format })
    }
}

/// The file that QEMU takes `name` for, unless it is a network address or an object in JSON.
pub(super) fn file_name(name: &str) -> Option<&Path> {
    let is_scheme = |text: &str| {
        !text.is_empty() && text.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '+' | '-' | '.'))
    };
    let name = name.strip_prefix("file:").unwrap_or(name);
    match name.split_once(':') {
        Some((scheme, _)) if is_scheme(scheme) => None,
        _ => Some(Path::new(name)),
    }
}

/// What tells a file from all others.
pub(super) fn identity(file: io::Result<fs::Metadata>, path: &Path) -> Result<(u64, u64), Qcow2Error> {
    let file = file.map_err(|source| Qcow2Error::Read { path: path.to_owned(), source })?;
    Ok((file.dev(), file.ino()))
}
