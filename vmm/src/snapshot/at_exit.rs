//! `--snapshot-on-exit`: its place is checked before the guest runs. A mistake that is found at nvmm's end has lost the guest.

use std::{fs, io};

use anyhow::{Context, Result};
use devices::printable::ToPrintable;

use super::directory::{self, NewDirectory};
use crate::config::VmConfig;

const OPTION: &str = "--snapshot-on-exit";

/// Checks that the calling thread can save the machine there: makes a directory as a save does, and removes it. A host that is full does
/// not count, as it may have room by then.
///
/// # Errors
///
/// Something else is there, or no directory can be made there.
pub fn try_at_exit(config: &VmConfig) -> Result<()> {
    let Some(path) = &config.snapshot_on_exit else { return Ok(()) };
    match NewDirectory::create(path, true) {
        Err(error) if is_full(&error) => {
            log::warn!("{OPTION}: {error:#}; the machine is lost at its end if there is no room by then");
            Ok(())
        }
        created => created.map(drop).context(OPTION),
    }
}

/// Checks the place without making anything there.
///
/// # Errors
///
/// Something else is there, or there is no directory around it.
pub fn look_at_exit(config: &VmConfig) -> Result<()> {
    let Some(path) = &config.snapshot_on_exit else { return Ok(()) };
    directory::check(path, true).context(OPTION)?;
    let around = fs::metadata(directory::parent(path)).and_then(|found| match found.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    });
    around.with_context(|| directory::cant_make(&path.printable())).context(OPTION)
}

fn is_full(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}
