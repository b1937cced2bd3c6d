//! `--cloud-init`: the seed, a disk in nvmm's memory.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use devices::{
    ahci::Drive,
    block::{BlockOptions, Lasting},
    disk::{Disk, format::Format, memory::MemoryDisk},
    printable::ToPrintable,
    virtio::block::Block,
};

use super::{Board, HostSide, OpenDevice};
use crate::{
    blocks::{BlockFacts, ImageFacts},
    cloud_init::SEED_DISK,
    config::{CloudInitConfig, DiskBus},
    describe::DiskDescription,
};

/// The seed's disk with its counters. It outlives the machine's resets.
#[derive(Clone, Debug)]
pub(super) struct SeedDisk {
    disk: Arc<dyn Disk>,
    /// The names of its files.
    files: String,
    bus: DiskBus,
    lasting: Lasting,
}

impl SeedDisk {
    /// Makes the disk.
    ///
    /// # Errors
    ///
    /// There is not enough memory.
    pub(super) fn open(config: &CloudInitConfig) -> anyhow::Result<Self> {
        let CloudInitConfig { seed, user_data, bus, legacy } = config;
        if let Some(path) = user_data.as_ref().filter(|_| !seed.has_known_user_data()) {
            log::warn!(
                "--cloud-init: {} begins neither with #cloud-config nor with #!, nor as other user-data does; cloud-init ignores it",
                path.printable()
            );
        }
        let image = seed.image().context("--cloud-init: the seed can't be made")?;
        Ok(Self {
            disk: Arc::new(MemoryDisk::new(SEED_DISK.to_owned(), image)),
            files: seed.names().collect::<Vec<_>>().join(", "),
            bus: *bus,
            lasting: BlockOptions { legacy: *legacy, ..BlockOptions::default() }.into(),
        })
    }
}

impl OpenDevice for SeedDisk {
    fn plug(&self, board: &mut Board) -> anyhow::Result<()> {
        let (disk, host) = (Arc::clone(&self.disk), Arc::new(self.clone()));
        match self.bus {
            DiskBus::Virtio => {
                let plugged = board.virtio(Box::new(Block::new(disk, &self.lasting)), host);
                plugged.map(|_| ()).with_context(|| HostSide::name(self))
            }
            // The guest gets an error if it writes: SATA has no read-only disks, and a CD's blocks are longer than FAT's.
            DiskBus::Sata => {
                board.sata(Drive::disk(disk, &self.lasting), host, None);
                Ok(())
            }
        }
    }

    fn is_sata(&self) -> bool {
        self.bus == DiskBus::Sata
    }

    fn host_side(&self) -> Option<&dyn HostSide> {
        Some(self)
    }

    fn disk(&self) -> Option<DiskDescription> {
        let name = SEED_DISK.to_owned();
        Some(DiskDescription::in_memory(name, self.bus, &self.lasting.options, &*self.disk))
    }
}

impl HostSide for SeedDisk {
    fn name(&self) -> String {
        format!("disk {SEED_DISK}")
    }

    fn backend(&self) -> Option<String> {
        Some(self.files.clone())
    }

    fn size(&self) -> Option<u64> {
        Some(self.disk.size())
    }

    fn work(&self) -> Option<String> {
        Some(self.lasting.counters.total().to_string())
    }

    fn block(&self) -> Option<BlockFacts> {
        Some(BlockFacts {
            name: SEED_DISK.to_owned(),
            tray: None,
            inserted: Some(ImageFacts {
                path: PathBuf::new(),
                format: Format::Raw,
                overlay: None,
                size: self.disk.size(),
                is_read_only: true,
                cache: self.lasting.options.cache,
                is_direct: false,
                limits: [None, None],
            }),
            totals: self.lasting.counters.total(),
        })
    }
}
