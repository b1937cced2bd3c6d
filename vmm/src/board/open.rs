//! Opens the devices of the command line.

use super::{
    balloon::MemoryBalloon,
    cdrom::OpenCdrom,
    cloud_init::SeedDisk,
    debug_exit::DebugExitPort,
    device::{OpenDevice, Opening},
    disk::OpenDisk,
    display::OpenDisplay,
    net::OpenNet,
    panic::PanicPort,
    rng::RngSource,
    rtc::Rtc,
    serial::SerialPort,
    vsock::OpenVsock,
};
use crate::config::DeviceConfig;

/// Opens everything that a device needs on the host.
///
/// # Errors
///
/// The device doesn't exist, or can't be used with its options.
pub fn open(device: &DeviceConfig, opening: &mut Opening<'_>) -> anyhow::Result<Box<dyn OpenDevice>> {
    Ok(match device {
        DeviceConfig::Rtc => Box::new(Rtc::default()),
        DeviceConfig::Disk(config) => {
            let disk = match opening.link {
                Some(_) => OpenDisk::open(config)?,
                None => OpenDisk::try_out(config)?,
            };
            opening.own_disk = opening.own_disk.take().or_else(|| disk.written_by_one());
            Box::new(disk)
        }
        DeviceConfig::CloudInit(config) => Box::new(SeedDisk::open(config)?),
        DeviceConfig::Cdrom(config) => Box::new(OpenCdrom::open(config)?),
        DeviceConfig::Net(config) => Box::new(OpenNet::open(config, opening)?),
        DeviceConfig::Rng(path) => Box::new(RngSource::open(path)?),
        DeviceConfig::Balloon => Box::new(MemoryBalloon::default()),
        DeviceConfig::Vsock(config) => Box::new(OpenVsock::open(config, opening)?),
        DeviceConfig::Display(config) => Box::new(OpenDisplay::open(config, opening)?),
        DeviceConfig::Serial(number, config) => Box::new(SerialPort::open(*number, config, opening)?),
        DeviceConfig::Panic => Box::new(PanicPort),
        DeviceConfig::DebugExit(port) => Box::new(DebugExitPort(*port)),
    })
}
