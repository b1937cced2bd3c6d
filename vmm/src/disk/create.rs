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

/// An image to be made.
#[derive(Debug)]
pub(super) struct Creation<'a> {
    pub(super) path: &'a Path,
    /// The size; if none, that of its base.
    pub(super) size: Option<Amount>,
    pub(super) kind: ImageKind<'a>,
}

/// The kind of image, with the options for this kind only.
#[derive(Debug)]
pub(super) enum ImageKind<'a> {
    Raw,
    Qcow2 { base: Option<Base<'a>>, cluster_size: Option<Amount> },
}

/// The base of an image (its backing file).
#[derive(Debug)]
pub(super) struct Base<'a> {
    /// The name as recorded in the image, relative to the image's folder.
    pub(super) name: &'a OsStr,
    pub(super) format: Format,
    /// The folder in which files that it names are permitted.
    pub(super) root: Option<PathBuf>,
}

/// Facts about an image that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Created {
    /// The folder that `backing-root` must name to open it: its base's, if that is elsewhere.
    pub(super) needs: Option<PathBuf>,
}

/// Reasons why an image can't be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum CreateError {
    /// The file can't be made.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The qcow2 format does not allow it, or the host failed.
    #[error(transparent)]
    Qcow2(#[from] create::CreateError),
    /// The base can't be used.
    #[error("the base {name}")]
    Base {
        /// The name, as given.
        name: Untrusted,
        /// The fault.
        source: Box<OpenError>,
    },
    /// The base would be found if its name were relative to the current folder.
    #[error(
        "the base {name} is not in {}, where the image's names begin; give its name from there, or a whole path",
        folder.printable()
    )]
    Elsewhere {
        /// The name, as given.
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
                    // A number that does not fit is too large anyway.
                    options.cluster_size = u32::try_from(cluster_size).unwrap_or(u32::MAX);
                }
                create::create(self.path, size, &options)?;
                Ok(Created { needs: base.as_ref().and_then(|base| base.far_folder(self.path)) })
            }
        }
    }
}

/// Makes a file of `size` bytes, all zeros, that takes no space.
fn raw(path: &Path, size: u64) -> Result<(), CreateError> {
    if size == 0 || !size.is_multiple_of(SECTOR_SIZE) {
        return Err(create::CreateError::Size(size).into());
    }
    let target = Target::new(path, false)?;
    target.set_len(size)?;
    Ok(target.keep()?)
}

impl Base<'_> {
    /// The base's path, for an image at `image`.
    fn path(&self, image: &Path) -> PathBuf {
        folder(image).join(self.name)
    }

    /// The base's name for the image's header. With a colon before any slash, it would begin with a protocol: then it is `./a:b`.
    fn recorded(&self) -> Untrusted {
        let name = self.name.as_bytes();
        match name.iter().find(|byte| matches!(byte, b':' | b'/')) {
            Some(b':') => [b"./", name].concat().into(),
            _ => name.into(),
        }
    }

    /// The base's size. The base must open.
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

    /// The base's folder, if it is neither that of `image` nor below it.
    fn far_folder(&self, image: &Path) -> Option<PathBuf> {
        let real = fs::canonicalize(self.path(image)).ok()?;
        let is_near = real.starts_with(fs::canonicalize(folder(image)).ok()?);
        real.parent().filter(|_| !is_near).map(Path::to_path_buf)
    }
}
