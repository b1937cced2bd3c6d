use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use devices::{
    chipset::Rom,
    platform::flash::{Flash, Saver, Store, VarsError, VarsFile, check},
    printable::ToPrintable,
};

use super::error::FirmwareError;

/// UEFI variables that outlive nvmm, in the file of `vars=`. Their flash chip outlives the machine's resets.
#[derive(Debug)]
pub(super) struct Variables {
    chip: Arc<Rom>,
    path: PathBuf,
    /// The thread that saves them; none for a machine that will not run.
    saver: Option<Arc<Saver>>,
}

/// A store for machines that will not run, whose variables never change.
#[derive(Debug)]
struct Nowhere;

impl Store for Nowhere {
    fn save(&self, _contents: Vec<u8>) {}
}

impl Variables {
    /// Opens the file, or makes it from `template`, which contains no variables yet. Unless the machine `runs`, no file is made.
    pub(super) fn open(path: &Path, template: Option<&[u8]>, runs: bool) -> Result<Self, FirmwareError> {
        let error = |source| FirmwareError::Variables { path: path.to_owned(), source };
        template.map_or(Ok(()), check).map_err(|why| error(VarsError::Header(why)))?;
        let host = |source| error(VarsError::Open(source));
        let chip = |bytes: &[u8]| Rom::new(bytes).map(Arc::new).map_err(host);
        if let Some(template) = template.filter(|_| !runs && !path.exists()) {
            return Ok(Self { chip: chip(template)?, path: path.to_owned(), saver: None });
        }
        let (file, bytes) = VarsFile::open(path, template).map_err(error)?;
        if runs {
            file.check_folder().map_err(error)?;
        }
        let (chip, path) = (chip(&bytes)?, file.path().to_owned());
        log::info!("UEFI variables: {}", path.printable());
        let saver = runs.then(|| Saver::start(file)).transpose().map_err(host)?;
        Ok(Self { chip, path, saver: saver.map(Arc::new) })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The chip's size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.chip.size()
    }

    /// The chip's registers, as after a reset.
    pub(super) fn flash(&self) -> Flash {
        let store: Arc<dyn Store> = match &self.saver {
            Some(saver) => saver.clone(),
            None => Arc::new(Nowhere),
        };
        Flash::new(Arc::clone(&self.chip), store)
    }

    /// Waits until everything is in the file, for at most `patience`. Returns the file's name in words if it takes longer.
    pub(super) fn finish(&self, patience: Duration) -> Option<&str> {
        self.saver.as_ref()?.finish(patience)
    }

    /// Lets other processes use the file.
    pub(super) fn unlock(&self) -> io::Result<()> {
        self.saver.as_ref().map_or(Ok(()), |saver| saver.unlock())
    }

    /// Locks the file again, or returns who uses it.
    pub(super) fn lock_again(&self) -> io::Result<Option<String>> {
        self.saver.as_ref().map_or(Ok(None), |saver| saver.lock_again())
    }
}
