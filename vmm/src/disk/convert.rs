//! `nvmm disk convert`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use devices::disk::{
    format::Format,
    image::{self, OpenError, OpenOptions},
    qcow2::create::{CreateError, CreateOptions, fill},
};
use devices::printable::ToPrintable;

use super::{
    args::Made,
    bar::{Bar, Shown},
    copy::{CopyError, copy},
    target::{Target, TargetError},
};
use crate::signals::Signals;

/// A copy to be made.
#[derive(Debug)]
pub(super) struct Conversion<'a> {
    pub(super) from: &'a Path,
    pub(super) options: OpenOptions,
    pub(super) to: &'a Path,
    pub(super) format: Made,
    /// Replace an existing file.
    pub(super) replaces: bool,
    pub(super) shown: Shown,
}

/// The result of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Converted {
    /// The copy is complete.
    Whole,
    /// The copy was ended by the signal with this number, and is not there.
    Interrupted(i32),
}

/// Reasons why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConvertError {
    /// The original can't be used.
    #[error(transparent)]
    From(OpenError),
    /// The copy can't have this name.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The copy would replace a file.
    #[error("{} is there already; give another name, or --force to replace it", .0.printable())]
    Exists(PathBuf),
    /// The qcow2 image can't be made.
    #[error(transparent)]
    Qcow2(CreateError),
    /// The copy can't be opened.
    #[error("the copy can't be made")]
    To(#[source] OpenError),
    /// The original can't be read, as it or its medium is damaged.
    #[error("disk {} can't be read at byte {offset}", path.printable())]
    Read {
        /// The original.
        path: PathBuf,
        /// The offset.
        offset: u64,
        /// The host's error.
        source: io::Error,
    },
    /// The copy can't be written, for example because no space is left.
    #[error("{} can't be written to at byte {offset}", path.printable())]
    Write {
        /// The copy.
        path: PathBuf,
        /// The offset.
        offset: u64,
        /// The host's error.
        source: io::Error,
    },
    /// Signals can't be waited for.
    #[error("signals can't be waited for")]
    Signals(#[source] io::Error),
}

impl Conversion<'_> {
    /// Makes the copy.
    pub(super) fn run(self) -> Result<Converted, ConvertError> {
        let mut signals = Signals::new().map_err(ConvertError::Signals)?;
        let from = image::open(self.from, &self.options).map_err(ConvertError::From)?.disk;
        let target = Target::new(self.to, self.replaces).map_err(|error| match error {
            TargetError::Exists(path) => ConvertError::Exists(path),
            error => error.into(),
        })?;
        let size = from.size();
        let format = match self.format {
            Made::Raw => {
                target.set_len(size)?;
                Format::Raw
            }
            Made::Qcow2 => {
                let filled = fill(target.file(), self.to, size, &CreateOptions::default());
                filled.map_err(ConvertError::Qcow2)?;
                Format::Qcow2
            }
        };
        let options = OpenOptions { format: Some(format), ..OpenOptions::default() };
        let to = image::open(&target.path(), &options).map_err(ConvertError::To)?.disk;

        let mut bar = Bar::new(self.shown, size, Instant::now());
        let copied = copy(&*from, &*to, |done, copied| {
            bar.tell(done, copied);
            match signals.next().map(|signal| signal.number) {
                Some(libc::SIGUSR1) => bar.answer(done),
                Some(signal) if !is_ignored(signal) => return Err(signal),
                _ => {}
            }
            Ok(())
        });
        let path = || self.to.to_owned();
        match copied {
            Ok(()) => {}
            Err(CopyError::Watcher(signal)) => return Ok(Converted::Interrupted(signal)),
            Err(CopyError::Read(offset, source)) => {
                return Err(ConvertError::Read { path: self.from.to_owned(), offset, source });
            }
            Err(CopyError::Write(offset, source)) => {
                return Err(ConvertError::Write { path: path(), offset, source });
            }
        }
        to.flush().map_err(|source| TargetError::Finish { path: path(), source })?;
        drop(to);
        target.keep()?;
        Ok(Converted::Whole)
    }
}

/// Returns whether nvmm was started with this signal ignored, as nohup does.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.zip(u32::try_from(signal - 1).ok()).is_some_and(|(ignored, bit)| ignored >> bit & 1 != 0)
}
