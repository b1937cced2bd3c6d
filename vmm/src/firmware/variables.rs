use std::{path::Path, sync::Arc, time::Duration};

use devices::{
    chipset::Rom,
    platform::flash::{Flash, Saver, VarsError, VarsFile, check},
    printable::ToPrintable,
};

use super::error::FirmwareError;

/// UEFI variables that outlive nvmm, in the file of `vars=`. The chip that holds them outlives the machine's resets.
#[derive(Debug)]
pub(super) struct Variables {
    chip: Arc<Rom>,
    saver: Arc<Saver>,
}

impl Variables {
    /// Opens the file, or makes it of `template`, which has no variables yet.
    pub(super) fn open(path: &Path, template: &[u8]) -> Result<Self, FirmwareError> {
        let error = |source| FirmwareError::Variables { path: path.to_owned(), source };
        check(template).map_err(|why| error(VarsError::Header(why)))?;
        let (file, bytes) = VarsFile::open(path, template).map_err(error)?;
        let host = |source| error(VarsError::Open(source));
        let chip = Rom::new(&bytes).map_err(host)?;
        log::info!("UEFI variables: {}", file.path().printable());
        Ok(Self { chip: Arc::new(chip), saver: Arc::new(Saver::start(file).map_err(host)?) })
    }

    /// The chip's size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.chip.size()
    }

    /// The chip's registers, as after a reset.
    pub(super) fn flash(&self) -> Flash {
        Flash::new(Arc::clone(&self.chip), self.saver.clone())
    }

    /// Waits until all is in the file, for at most `patience`. Returns the file, in words, if it is not.
    pub(super) fn finish(&self, patience: Duration) -> Option<&str> {
        self.saver.finish(patience)
    }
}
