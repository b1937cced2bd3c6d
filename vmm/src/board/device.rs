//! The devices of the command line.

use std::{fmt::Debug, path::PathBuf};

use super::{
    Board, debug_exit::DebugExitPort, disk::OpenDisk, panic::PanicPort, rng::RngSource, rtc::Rtc,
    serial::SerialPort,
};
use crate::{
    config::{DiskConfig, SerialConfig},
    describe::DiskDescription,
    link::Link,
    output::Taken,
};

/// A device with something of its own on the host, or that keeps something through resets.
#[derive(Clone, Debug)]
pub enum DeviceConfig {
    /// The real-time clock, which every machine has.
    Rtc,
    /// `--disk`.
    Disk(Box<DiskConfig>),
    /// `--rng`.
    Rng(PathBuf),
    /// `--serial`.
    Serial(SerialConfig),
    /// `--on-panic`.
    Panic,
    /// `--debug-exit`.
    DebugExit(u16),
}

/// A device with all that it has open on the host. It outlives the machine's resets, and is plugged into each machine that is built.
pub trait Device: Debug + Send {
    /// Plugs it in.
    ///
    /// # Errors
    ///
    /// The board has no place for it.
    fn plug(&self, board: &mut Board) -> anyhow::Result<()>;

    /// Returns its name in messages and the work that it did since nvmm started, if that is counted.
    fn totals(&self) -> Option<String> {
        None
    }

    /// Describes it for `--dry-run`, if it is a disk.
    fn disk(&self) -> Option<DiskDescription> {
        None
    }
}

/// What devices are opened with.
#[derive(Debug)]
pub struct Opening<'a> {
    /// The number of vCPUs.
    pub vcpus: u32,
    /// The way to the main thread; none if the machine will not run. Then nothing is made or emptied.
    pub link: Option<&'a Link>,
    /// The files that are not to be written over.
    pub taken: Taken,
}

impl DeviceConfig {
    /// Opens what the device needs on the host.
    ///
    /// # Errors
    ///
    /// It is not there, or can't be used as asked.
    pub fn open(&self, opening: &mut Opening<'_>) -> anyhow::Result<Box<dyn Device>> {
        Ok(match self {
            Self::Rtc => Box::new(Rtc::default()),
            Self::Disk(config) if opening.link.is_some() => Box::new(OpenDisk::open(config, opening.vcpus)?),
            Self::Disk(config) => Box::new(OpenDisk::try_out(config, opening.vcpus)?),
            Self::Rng(path) => Box::new(RngSource::open(path)?),
            Self::Serial(config) => Box::new(SerialPort::open(config, opening)?),
            Self::Panic => Box::new(PanicPort),
            Self::DebugExit(port) => Box::new(DebugExitPort(*port)),
        })
    }
}
