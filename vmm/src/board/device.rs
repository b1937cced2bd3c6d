//! A device that is open on the host.

use std::{fmt::Debug, path::PathBuf};

use devices::disk::Disk;

use super::{Board, HostSide};
use crate::{
    config::BootDevice,
    describe::{DiskDescription, NetworkDescription},
    expect::Script,
    link::Link,
    output::Taken,
};

/// A device with everything that it has open on the host. It outlives the machine's resets, and is plugged into each new machine.
pub trait OpenDevice: Debug + Send {
    /// Plugs the device into a board.
    ///
    /// # Errors
    ///
    /// The board has no place for it.
    fn plug(&self, board: &mut Board) -> anyhow::Result<()>;

    /// Returns the host's side of it, if it is a virtio device.
    fn host_side(&self) -> Option<&dyn HostSide> {
        None
    }

    /// Returns its names for `--boot`, if firmware can start from it.
    fn bootable(&self) -> Option<BootDevice> {
        None
    }

    /// Returns true if it needs a port of a SATA controller.
    fn is_sata(&self) -> bool {
        false
    }

    /// Returns the disk, if it is one.
    fn image(&self) -> Option<&dyn Disk> {
        None
    }

    /// Describes it for `--dry-run`, if it is a disk.
    fn disk(&self) -> Option<DiskDescription> {
        None
    }

    /// Describes it for `--dry-run`, if it is a network device.
    fn network(&self) -> Option<NetworkDescription> {
        None
    }
}

/// The context in which devices are opened.
#[derive(Debug)]
pub struct Opening<'a> {
    /// The link to the main thread. None for a machine that will not run: then no file is made or emptied.
    pub link: Option<&'a Link>,
    /// The machine's name, if it has one.
    pub name: Option<&'a str>,
    /// The script on COM1.
    pub script: Option<&'a Script>,
    /// Files that must not be overwritten.
    pub taken: Taken,
    /// The first of the opened files and block devices that only this machine writes to.
    pub own_disk: Option<PathBuf>,
}
