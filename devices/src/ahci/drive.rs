//! The drive that is connected to a port.

mod state;

use std::sync::Arc;

pub(super) use self::state::DriveState;
use super::{
    cdrom::{Cdrom, Tray},
    disk::AtaDisk,
    fis::{CommandFis, TaskFile},
    registers::Status,
    step::Step,
};
use crate::{block::Lasting, disk::Disk};

/// A drive with an ATA interface.
#[derive(Debug)]
pub struct Drive(pub(super) Kind);

#[derive(Debug)]
pub(super) enum Kind {
    Disk(AtaDisk),
    Cdrom(Cdrom),
}

impl Drive {
    /// A disk.
    #[must_use]
    pub fn disk(disk: Arc<dyn Disk>, lasting: &Lasting) -> Self {
        Self(Kind::Disk(AtaDisk::new(disk, lasting)))
    }

    /// A CD-ROM drive with this tray.
    #[must_use]
    pub fn cdrom(tray: Arc<Tray>) -> Self {
        Self(Kind::Cdrom(Cdrom::new(tray)))
    }

    /// The name in messages.
    pub(super) fn name(&self) -> &str {
        match &self.0 {
            Kind::Disk(disk) => disk.disk.name(),
            Kind::Cdrom(cdrom) => cdrom.tray.name(),
        }
    }

    /// The part of it that outlives resets.
    pub(super) fn lasting(&self) -> &Lasting {
        match &self.0 {
            Kind::Disk(disk) => &disk.lasting,
            Kind::Cdrom(cdrom) => cdrom.tray.lasting(),
        }
    }

    /// The registers that the drive sends after a reset.
    pub(super) fn signature(&self) -> TaskFile {
        let (status, lba) = match &self.0 {
            Kind::Disk(_) => (Status::READY | Status::SEEK_COMPLETE, 0x00_0001),
            Kind::Cdrom(_) => (Status::empty(), 0xeb_1401),
        };
        TaskFile { status, error: 1, lba, device: 0, count: 1 }
    }

    /// Resets the drive: by COMRESET if `hard`, else by the control register.
    pub(super) fn reset(&self, hard: bool) {
        match &self.0 {
            Kind::Disk(disk) => disk.reset(hard),
            Kind::Cdrom(cdrom) => cdrom.reset(),
        }
    }

    /// Checks whether the disk has grown.
    pub(super) fn measure(&self) -> std::io::Result<()> {
        match &self.0 {
            Kind::Disk(disk) => disk.disk.measure().map(drop),
            Kind::Cdrom(_) => Ok(()),
        }
    }

    /// Finds out what a command asks for.
    pub(super) fn step(&self, fis: &CommandFis, packet: Option<&[u8; 16]>) -> Step {
        match &self.0 {
            Kind::Disk(disk) => disk.step(fis),
            Kind::Cdrom(cdrom) => cdrom.step(fis, packet),
        }
    }
}
