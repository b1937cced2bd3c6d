//! `--rng`: the guest's random bytes.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use devices::{
    printable::ToPrintable,
    virtio::rng::{Rng, Source},
};

use super::{Board, HostSide, OpenDevice};

/// The source of the random bytes.
#[derive(Clone, Debug)]
pub(super) struct RngSource(Arc<Source>);

impl RngSource {
    /// Opens the file or device at `path`.
    ///
    /// # Errors
    ///
    /// The path doesn't exist, or can't be read.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let source = Source::open(path).with_context(|| {
            format!("--rng {} can't be read; give another file or device, or off", path.printable())
        });
        Ok(Self(Arc::new(source?)))
    }
}

impl OpenDevice for RngSource {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let plugged = board.virtio(Box::new(Rng::new(Arc::clone(&self.0))), Arc::new(self.clone()));
        plugged.context("virtio-rng can't be plugged in (--rng off leaves it out)")?;
        Ok(())
    }
}

impl HostSide for RngSource {
    fn name(&self) -> String {
        format!("rng {}", self.0.name())
    }

    fn backend(&self) -> Option<String> {
        Some(self.0.name().to_owned())
    }
}
