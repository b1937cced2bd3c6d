//! The devices of the command line.

use std::path::PathBuf;

use super::{
    cdrom::CdromConfig, cloud_init::CloudInitConfig, disk::DiskConfig, display::DisplayConfig,
    net::NetConfig, serial::SerialConfig, vsock::VsockConfig,
};

/// A device for which an option asks, or the real-time clock.
#[derive(Clone, Debug)]
pub enum DeviceConfig {
    /// The real-time clock, which every machine has.
    Rtc,
    /// `--disk`.
    Disk(Box<DiskConfig>),
    /// `--cloud-init`, and the other options that make a seed.
    CloudInit(CloudInitConfig),
    /// `--cdrom`.
    Cdrom(CdromConfig),
    /// `--net`.
    Net(NetConfig),
    /// `--rng`.
    Rng(PathBuf),
    /// `--balloon`.
    Balloon,
    /// `--vsock`.
    Vsock(VsockConfig),
    /// `--display`.
    Display(DisplayConfig),
    /// `--serial`: the port's number (0 is COM1) and its place.
    Serial(usize, SerialConfig),
    /// `--on-panic`.
    Panic,
    /// `--debug-exit`.
    DebugExit(u16),
}
