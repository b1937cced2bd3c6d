//! `--disk`: a disk's file, which outlives the machine's resets.

use std::{io, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use devices::{
    ahci::Drive,
    block::{CacheMode, Engine, Lasting, check_io_uring},
    disk::{
        Disk, SECTOR_SIZE,
        format::Format,
        image::{self, Image, OpenError, OpenOptions},
        named::Named,
        qcow2::Overlay,
    },
    virtio::block::Block,
};
use thiserror::Error;

use super::{Board, HostSide, OpenDevice};
use crate::{
    blocks::{BlockFacts, ImageFacts},
    config::{BootDevice, BootKind, DiskBus, DiskConfig},
    describe::DiskDescription,
    size::Size,
};

/// Reasons why a disk can't be used with its options.
#[derive(Debug, Error)]
pub enum OpenDiskError {
    /// The image can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// `direct=on` for an image that is a vmdk.
    #[error("disk {0}: vmdk images are read through the page cache; leave direct=on out")]
    DirectVmdk(String),
    /// `bus=sata` for a disk that is read-only.
    #[error(
        "disk {0}: it is read-only, which a SATA disk can't be; overlay=temp takes what is written, or use bus=virtio, or --cdrom"
    )]
    ReadOnlySata(String),
    /// `aio=io_uring` on a host without io_uring.
    #[error("disk {0}: aio=io_uring: this host has no io_uring for nvmm; use aio=threads, or leave it out")]
    NoIoUring(String, #[source] io::Error),
}

/// A disk's file, open and locked, with its counters. It outlives the machine's resets.
#[derive(Clone, Debug)]
pub struct OpenDisk {
    /// The options of the disk.
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
    /// The disk doesn't exist, or can't be used with its options.
    pub fn open(config: &DiskConfig) -> Result<Self, OpenDiskError> {
        Self::open_by(&config.image, config)
    }

    /// Opens and locks the image for a machine that will not run: no overlay is made.
    ///
    /// # Errors
    ///
    /// The same as with [`OpenDisk::open`].
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
        if config.bus == DiskBus::Sata && disk.is_read_only() {
            return Err(OpenDiskError::ReadOnlySata(config.name()));
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

    /// The name in messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.config.name()
    }

    /// Returns the file or block device that is written to, if it is locked against other writers.
    pub(super) fn written_by_one(&self) -> Option<PathBuf> {
        match &self.config.image.overlay {
            _ if self.disk.is_read_only() => None,
            None => Some(self.config.path.clone()),
            Some(Overlay::File(path)) => Some(path.clone()),
            Some(Overlay::Temp) => None,
        }
    }

    fn boot_device(&self) -> BootDevice {
        BootDevice { kind: BootKind::Disk, id: self.config.id.clone() }
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

impl OpenDevice for OpenDisk {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let (disk, host) = (Arc::clone(&self.disk), Arc::new(self.clone()));
        match self.config.bus {
            DiskBus::Virtio => {
                let block = Block::new(disk, &self.lasting);
                let address = board.virtio(Box::new(block), host).with_context(|| HostSide::name(self))?;
                board.can_boot(self.boot_device(), address, "scsi", "disk@0,0");
            }
            DiskBus::Sata => board.sata(Drive::disk(disk, &self.lasting), host, Some(self.boot_device())),
        }
        Ok(())
    }

    fn host_side(&self) -> Option<&dyn HostSide> {
        Some(self)
    }

    fn bootable(&self) -> Option<BootDevice> {
        Some(self.boot_device())
    }

    fn is_sata(&self) -> bool {
        self.config.bus == DiskBus::Sata
    }

    fn image(&self) -> Option<&dyn Disk> {
        Some(&*self.disk)
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

    fn block(&self) -> Option<BlockFacts> {
        let overlay = self.config.image.overlay.as_ref().map(|overlay| match overlay {
            Overlay::Temp => None,
            Overlay::File(path) => Some(path.clone()),
        });
        Some(BlockFacts {
            name: self.name(),
            tray: None,
            inserted: Some(ImageFacts {
                path: self.config.path.clone(),
                format: if overlay.is_some() { Format::Qcow2 } else { self.format },
                overlay,
                size: self.disk.size(),
                is_read_only: self.disk.is_read_only(),
                cache: self.config.device.cache,
                is_direct: self.config.image.disk.direct,
                limits: [self.config.device.iops, self.config.device.bandwidth]
                    .map(|limit| limit.map(Into::into)),
            }),
            totals: self.lasting.counters.total(),
        })
    }

    fn grow(&self, to: u64) -> anyhow::Result<()> {
        let name = HostSide::name(self);
        let now = self.disk.measure().with_context(|| name.clone())?;
        let files = self.disk.files();
        match files.first() {
            _ if to == now => return Ok(()),
            _ if to < now => bail!("{name}: it has {now} bytes, and a disk that is in use can't shrink"),
            _ if !to.is_multiple_of(SECTOR_SIZE) => bail!("{name}: {to} is no multiple of {SECTOR_SIZE}"),
            _ if self.disk.is_read_only() => bail!("{name}: it is read-only"),
            None => bail!(
                "{name}: only a raw image can grow while it is in use; end the machine and use nvmm disk resize"
            ),
            Some(file) if !file.metadata()?.is_file() => {
                bail!("{name}: it is a device; make that larger on the host first")
            }
            Some(file) => file.set_len(to).with_context(|| format!("{name}: it can't have {to} bytes"))?,
        }
        log::info!("{name}: it has grown from {} to {}", Size(now), Size(to));
        if self.config.bus == DiskBus::Sata {
            log::info!("{name}: on SATA the guest sees that when the machine is reset");
        }
        Ok(())
    }
}
