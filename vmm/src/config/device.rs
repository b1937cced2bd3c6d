//! The devices of the command line.

use std::path::PathBuf;

use super::{disk::DiskConfig, serial::SerialConfig};

/// A device that an option asks for.
#[derive(Clone, Debug)]
pub enum DeviceConfig {
    /// `--disk`.
    Disk(Box<DiskConfig>),
    /// `--rng`.
    Rng(PathBuf),
    /// `--balloon`.
    Balloon,
    /// `--serial`.
    Serial(SerialConfig),
    /// `--on-panic`.
    Panic,
    /// `--debug-exit`.
    DebugExit(u16),
}
