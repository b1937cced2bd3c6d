//! `nvmm disk create`.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use devices::disk::{
    SECTOR_SIZE,
    format::Format,
    image::{self, OpenError, OpenOptions},
    qcow2::create::{self, CreateOptions},
    raw::DiskOptions,
};
use devices::printable::{ToPrintable, Untrusted};

use super::{
    amount::Amount,
    target::{Target, TargetError, folder},
};

/// An image to make.
#[derive(Debug)]
pub(super) struct Creation<'a> {
    pub(super) path: &'a Path,
    /// None: its base's.
    pub(super) size: Option<Amount>,
    pub(super) kind: ImageKind<'a>,
}

/// The kind of image, and the options that only this kind has.
#[derive(Debug)]
pub(super) enum ImageKind<'a> {
    Raw,
    Qcow2 { base: Option<Base<'a>>, cluster_size: Option<Amount> },
}

/// The image that another one is a difference to.
#[derive(Debug)]
pub(super) struct Base<'a> {
    /// As the image calls it, from where that is.
    pub(super) name: &'a OsStr,
    pub(super) format: Format,
    /// The folder that files which it names may be in.
    pub(super) root: Option<PathBuf>,
}

/// Things to know of an image that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Created {
    /// The folder without which it does not open: its base's, if that is elsewhere.
    pub(super) needs: Option<PathBuf>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(super) enum CreateError {
    /// The file can't be.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// qcow2 can't do it, or the host.
    #[error(transparent)]
    Qcow2(#[from] create::CreateError),
    /// The base can't be used.
    #[error("the base {name}")]
    Base {
        /// As it was given.
        name: Untrusted,
        /// The fault.
        source: Box<OpenError>,
    },
    /// The base is where it would be if its name began here.
    #[error(
        "the base {name} is not in {}, where the image's names begin; give its name from there, or a whole path",
        folder.printable()
    )]
    Elsewhere {
        /// As it was given.
        name: Untrusted,
        /// The image's folder.
        folder: PathBuf,
    },
    /// `SIZE` is missing, and there is no base.
    #[error("{} needs a size, such as 10G", .0.printable())]
    NoSize(PathBuf),
}

impl Creation<'_> {
    /// Makes the image.
    pub(super) fn run(self) -> Result<Created, CreateError> {
        if fs::symlink_metadata(self.path).is_ok() {
            return Err(TargetError::Exists(self.path.to_owned()).into());
        }
        match &self.kind {
            ImageKind::Raw => {
                let size = self.size.ok_or_else(|| CreateError::NoSize(self.path.to_owned()))?.0;
                raw(self.path, size)?;
                Ok(Created { needs: None })
            }
            ImageKind::Qcow2 { base, cluster_size } => {
                let base_size = base.as_ref().map(|base| base.size(self.path)).transpose()?;
                let size = self.size.map(|size| size.0).or(base_size);
                let size = size.ok_or_else(|| CreateError::NoSize(self.path.to_owned()))?;
                let mut options = CreateOptions {
                    backing: base.as_ref().map(|base| (base.recorded(), base.format)),
                    ..CreateOptions::default()
                };
                if let Some(Amount(cluster_size)) = *cluster_size {
                    // A number that does not fit is too large anyhow.
                    options.cluster_size = u32::try_from(cluster_size).unwrap_or(u32::MAX);
                }
                create::create(self.path, size, &options)?;
                Ok(Created { needs: base.as_ref().and_then(|base| base.far_folder(self.path)) })
            }
        }
    }
}

/// Makes a file of `size` zeros that takes no space.
fn raw(path: &Path, size: u64) -> Result<(), CreateError> {
    if size == 0 || !size.is_multiple_of(SECTOR_SIZE) {
        return Err(create::CreateError::Size(size).into());
    }
    let target = Target::new(path, false)?;
    target.set_len(size)?;
    Ok(target.keep()?)
}

impl Base<'_> {
    /// Its path, for an image at `image`.
    fn path(&self, image: &Path) -> PathBuf {
        folder(image).join(self.name)
    }

    /// Its name for the image's header, where a colon before any slash would end the name of a protocol: `./a:b`.
    fn recorded(&self) -> Untrusted {
        let name = self.name.as_bytes();
        match name.iter().find(|byte| matches!(byte, b':' | b'/')) {
            Some(b':') => [b"./", name].concat().into(),
            _ => name.into(),
        }
    }

    /// Its size; it has to open.
    fn size(&self, image: &Path) -> Result<u64, CreateError> {
        let path = self.path(image);
        if !path.exists() && Path::new(self.name).exists() {
            return Err(CreateError::Elsewhere {
                name: self.name.as_bytes().into(),
                folder: folder(image).to_owned(),
            });
        }
        let options = OpenOptions {
            disk: DiskOptions { read_only: true, direct: false },
            format: Some(self.format),
            backing_root: self.root.clone(),
            overlay: None,
        };
        match image::open(&path, &options) {
            Ok(opened) => Ok(opened.disk.size()),
            Err(source) => {
                Err(CreateError::Base { name: self.name.as_bytes().into(), source: source.into() })
            }
        }
    }

    /// Its folder, if it is neither in that of `image` nor below.
    fn far_folder(&self, image: &Path) -> Option<PathBuf> {
        let real = fs::canonicalize(self.path(image)).ok()?;
        let is_near = real.starts_with(fs::canonicalize(folder(image)).ok()?);
        real.parent().filter(|_| !is_near).map(Path::to_path_buf)
    }
}
