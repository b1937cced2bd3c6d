//! `--cdrom`: a CD-ROM drive and its medium, which outlive the machine's resets.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};
use devices::{
    ahci::{Drive, Medium, Tray},
    block::{BlockOptions, CacheMode},
    disk::{
        Disk,
        format::Format,
        image::{self, Image, OpenOptions},
    },
    printable::ToPrintable,
};
use vm_memory::VolatileSlice;

use super::{Board, HostSide, OpenDevice};
use crate::{
    blocks::{BlockFacts, ImageFacts, TrayFacts},
    config::{BootDevice, BootKind, CdromConfig},
};

/// Bytes of a CD's blocks.
const BLOCK: u64 = 2048;

/// Offset of a CD's first volume descriptor: ECMA-119, "Volume Descriptor Set".
const DESCRIPTORS: u64 = 16 * BLOCK;

/// A CD-ROM drive.
#[derive(Clone, Debug)]
pub(super) struct OpenCdrom {
    tray: Arc<Tray>,
}

impl OpenCdrom {
    /// Opens the drive with its image, if there is one.
    ///
    /// # Errors
    ///
    /// The image doesn't exist, or is not that of a CD.
    pub(super) fn open(config: &CdromConfig) -> anyhow::Result<Self> {
        let medium =
            config.medium.as_deref().map(|path| medium(path, None).context("--cdrom")).transpose()?;
        let lasting = BlockOptions::default().into();
        Ok(Self { tray: Arc::new(Tray::new(CdromConfig::NAME.to_owned(), medium, lasting)) })
    }
}

impl OpenDevice for OpenCdrom {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        board.sata(Drive::cdrom(Arc::clone(&self.tray)), Arc::new(self.clone()), Some(boot_device()));
        Ok(())
    }

    fn bootable(&self) -> Option<BootDevice> {
        Some(boot_device())
    }

    fn is_sata(&self) -> bool {
        true
    }

    fn host_side(&self) -> Option<&dyn HostSide> {
        Some(self)
    }
}

impl HostSide for OpenCdrom {
    fn name(&self) -> String {
        CdromConfig::NAME.to_owned()
    }

    fn backend(&self) -> Option<String> {
        let medium = self.tray.medium();
        Some(
            medium.map_or_else(|| "an empty CD-ROM drive".to_owned(), |medium| medium.disk.name().to_owned()),
        )
    }

    fn work(&self) -> Option<String> {
        Some(self.tray.counters().total().to_string())
    }

    fn block(&self) -> Option<BlockFacts> {
        let tray = TrayFacts { is_open: self.tray.is_open(), is_locked: self.tray.is_locked() };
        let inserted = self.tray.medium().map(|Medium { disk, format }| ImageFacts {
            path: disk.name().into(),
            overlay: None,
            format,
            size: disk.size(),
            is_read_only: true,
            cache: CacheMode::Writeback,
            is_direct: false,
            limits: [None, None],
        });
        Some(BlockFacts {
            name: CdromConfig::NAME.to_owned(),
            tray: Some(tray),
            inserted,
            totals: self.tray.counters().total(),
        })
    }

    fn eject(&self, force: bool) -> anyhow::Result<()> {
        self.tray.eject(force).with_context(|| HostSide::name(self))?;
        Ok(())
    }

    fn change_medium(&self, path: &Path, format: Option<Format>, force: bool) -> anyhow::Result<()> {
        // Open the new medium before the old one is taken out: so an error changes nothing.
        let medium = medium(path, format).with_context(|| HostSide::name(self))?;
        self.tray.eject(force).with_context(|| HostSide::name(self))?;
        self.tray.insert(medium).with_context(|| HostSide::name(self))
    }
}

/// The drive's names for `--boot`.
fn boot_device() -> BootDevice {
    BootDevice { kind: BootKind::Cdrom, id: Some(CdromConfig::NAME.to_owned()) }
}

/// Opens the image at `path` for reading.
fn medium(path: &Path, format: Option<Format>) -> anyhow::Result<Medium> {
    let mut options = OpenOptions { format, ..OpenOptions::default() };
    options.disk.read_only = true;
    let Image { disk, format } = image::open(path, &options)?;
    let (shown, size) = (path.printable(), disk.size());
    if size == 0 || !size.is_multiple_of(BLOCK) {
        bail!(
            "{shown}: {size} bytes are no CD's blocks of {BLOCK}: the file is cut off, or no image of a CD; --disk path=PATH,readonly=on gives the guest any file as a disk"
        );
    }
    if !has_descriptor(&*disk) {
        log::warn!("cdrom: {shown}: neither ISO 9660 nor UDF is on it; the guest may not be able to read it");
    }
    Ok(Medium { disk, format })
}

/// Returns true if the disk begins like every file system of CDs and DVDs: ECMA-119, "Volume Descriptors", and ECMA-167, "Volume Structure
/// Descriptors".
fn has_descriptor(disk: &dyn Disk) -> bool {
    let mut bytes = [0; 512];
    let read = disk.size() > DESCRIPTORS
        && disk.read_at(&[VolatileSlice::from(&mut bytes[..])], DESCRIPTORS).is_ok();
    read && [b"CD001", b"BEA01", b"NSR02", b"NSR03"].iter().any(|name| bytes[1..6] == name[..])
}
