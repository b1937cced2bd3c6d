//! `--disk`: a disk's file, which outlives the machine's resets.

use std::{io, sync::Arc};

use anyhow::Context;
use devices::{
    disk::{
        Disk,
        format::Format,
        image::{self, Image, OpenError, OpenOptions},
        named::Named,
        qcow2::Overlay,
    },
    virtio::block::{Block, CacheMode, Engine, Lasting, check_io_uring},
};
use thiserror::Error;

use super::{Board, Device, HostSide};
use crate::{config::DiskConfig, describe::DiskDescription};

/// Why a disk can't be used as asked.
#[derive(Debug, Error)]
pub enum OpenDiskError {
    /// The image can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// `direct=on` for what was found to be a vmdk.
    #[error("disk {0}: vmdk images are read through the page cache; leave direct=on out")]
    DirectVmdk(String),
    /// `aio=io_uring`, where there is none.
    #[error("disk {0}: aio=io_uring: this host has no io_uring for nvmm; use aio=threads, or leave it out")]
    NoIoUring(String, #[source] io::Error),
}

/// A disk's file, open and locked, and what was done with it. It outlives the machine's resets.
#[derive(Clone, Debug)]
pub struct OpenDisk {
    /// What was asked for.
    pub config: DiskConfig,
    disk: Arc<dyn Disk>,
    format: Format,
    lasting: Lasting,
}

impl OpenDisk {
    /// Opens and locks the image.
    ///
    /// # Errors
    ///
    /// There is no such disk, or it can't be used as asked.
    pub fn open(config: &DiskConfig) -> Result<Self, OpenDiskError> {
        Self::open_by(&config.image, config)
    }

    /// Opens and locks the image for a machine that will not run: an overlay is not made.
    ///
    /// # Errors
    ///
    /// As [`OpenDisk::open`].
    pub fn try_out(config: &DiskConfig) -> Result<Self, OpenDiskError> {
        let mut options = config.image.clone();
        if let Some(Overlay::File(path)) = &options.overlay
            && !path.exists()
        {
            options.overlay = Some(Overlay::Temp);
        }
        Self::open_by(&options, config)
    }

    fn open_by(open: &OpenOptions, config: &DiskConfig) -> Result<Self, OpenDiskError> {
        let Image { mut disk, format } = image::open(&config.path, open)?;
        if format == Format::Vmdk && config.image.disk.direct {
            return Err(OpenDiskError::DirectVmdk(config.name()));
        }
        if config.device.engine == Engine::IoUring {
            check_io_uring().map_err(|error| OpenDiskError::NoIoUring(config.name(), error))?;
        }
        if let Some(id) = &config.id {
            disk = Arc::new(Named::new(id.clone(), disk));
        }
        let lasting = config.device.clone().into();
        let opened = Self { config: config.clone(), disk, format, lasting };
        opened.tell_surprises();
        Ok(opened)
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> String {
        self.config.name()
    }

    fn tell_surprises(&self) {
        let name = self.name();
        if self.disk.is_read_only() && !self.config.image.disk.read_only {
            log::warn!(
                "disk {name}: {} images are never written to, so it is read-only; overlay=PATH or overlay=temp takes what is written",
                self.format.name()
            );
        }
        if self.format == Format::Raw && self.config.image.backing_root.is_some() {
            log::warn!("disk {name}: a raw image names no other files; backing-root means nothing to it");
        }
        if self.config.device.engine == Engine::IoUring && self.disk.files().is_empty() {
            log::warn!("disk {name}: io_uring is for raw disks; on others threads do the I/O");
        }
        if self.config.device.cache == CacheMode::Unsafe && !self.disk.is_read_only() {
            log::warn!("disk {name}: cache=unsafe: if this host stops, what the guest has written is lost");
        }
    }
}

impl Device for OpenDisk {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let block = Block::new(Arc::clone(&self.disk), &self.lasting);
        let plugged = board.virtio(Box::new(block), Arc::new(self.clone()));
        plugged.with_context(|| HostSide::name(self))
    }

    fn host_side(&self) -> Option<&dyn HostSide> {
        Some(self)
    }

    fn disk(&self) -> Option<DiskDescription> {
        Some(DiskDescription::new(&self.config, self.format, &*self.disk))
    }
}

impl HostSide for OpenDisk {
    fn name(&self) -> String {
        format!("disk {}", self.config.name())
    }

    fn backend(&self) -> Option<String> {
        Some(self.config.path.to_string_lossy().into_owned())
    }

    fn size(&self) -> Option<u64> {
        Some(self.disk.size())
    }

    fn work(&self) -> Option<String> {
        Some(self.lasting.counters.total().to_string())
    }
}
