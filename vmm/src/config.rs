//! The configuration of a machine: the parsed options, checked as far as that is possible without the host.

mod boot;
mod cdrom;
mod cloud_init;
mod cpu;
mod destination;
mod device;
mod disk;
mod display;
mod error;
mod expect;
mod fault;
mod fw_cfg;
mod gdb;
mod keys;
mod memory;
mod name;
mod net;
mod outside;
mod public_key;
mod qmp;
mod saving;
mod serial;
mod smbios;
mod start;
mod vnc;
mod vsock;
pub(crate) mod words;

use std::{path::PathBuf, time::Duration};

use arch::{
    cpu::{spec::CpuSpec, topology::Topology},
    smbios::SmbiosValues,
};
use devices::chars::Address;

pub(crate) use self::destination::destination;
pub use self::{
    boot::{BootConfig, BootDevice, BootKind, name as boot_name},
    cdrom::CdromConfig,
    cloud_init::CloudInitConfig,
    cpu::cpu,
    device::DeviceConfig,
    disk::{DiskBus, DiskConfig},
    display::DisplayConfig,
    error::ConfigError,
    fw_cfg::FwCfgFile,
    memory::MemoryConfig,
    net::{NetConfig, NetHost, NetMac, Vhost},
    outside::Outside,
    qmp::QmpConfig,
    serial::{Place, SerialConfig},
    start::{FirmwareChoice, FirmwareConfig, KernelConfig, StartConfig},
    vnc::{VncConfig, VncPlace},
    vsock::VsockConfig,
};
use crate::{
    args::{MachineArgs, OnPanic, OnReboot},
    cloud_init::SEED_DISK,
    expect::Script,
};

/// The configuration of a whole machine.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// The guest's CPUs.
    pub cpu: CpuSpec,
    /// The number of CPUs and their arrangement.
    pub topology: Topology,
    /// Guest RAM.
    pub memory: MemoryConfig,
    /// The software that it starts with.
    pub start: StartConfig,
    /// The name by which people and programs on the host know the machine.
    pub name: Option<String>,
    /// The machine's identity in SMBIOS.
    pub smbios: SmbiosValues,
    /// The user's files in fw_cfg. If there are some, the machine has fw_cfg even without firmware.
    pub fw_cfg: Vec<FwCfgFile>,
    /// Files that were read for the fields above, each with the option that names it.
    pub read: Vec<(&'static str, PathBuf)>,
    /// The devices that options ask for, in the order in which they are opened and plugged in. Disks come first: their locks show which
    /// files other options must not overwrite.
    pub devices: Vec<DeviceConfig>,
    /// The script for COM1: texts to wait for, and texts to type.
    pub script: Option<Script>,
    /// The action on the guest's reboot.
    pub on_reboot: OnReboot,
    /// The action on a panic of its kernel; none if the machine can't learn of it.
    pub on_panic: Option<OnPanic>,
    /// The time that the guest has to power off after SIGTERM.
    pub grace: Duration,
    /// The control socket.
    pub qmp: Option<QmpConfig>,
    /// The place to listen for a debugger.
    pub gdb: Option<Address>,
    /// The guest must not run before the user starts it.
    pub paused: bool,
    /// The file for nvmm's process id.
    pub pid_file: Option<PathBuf>,
    /// The directory in which the machine is saved when nvmm has to end.
    pub snapshot_on_exit: Option<PathBuf>,
}

impl VmConfig {
    /// Parses the options.
    ///
    /// # Errors
    ///
    /// An option is invalid. The message repeats it and says what would be valid.
    pub fn new(args: &MachineArgs) -> Result<Self, ConfigError> {
        let (smbios, smbios_files) = smbios::parse(&args.smbios, args.uuid.as_deref())?;
        let cpu_file = cpu::file(&args.cpu).map(|path| ("--cpu", path.to_owned()));
        let text = args.domain_text.as_deref().filter(|_| cpu::file(&args.cpu) == args.domain.as_deref());
        let (cpu, topology) = cpu(&args.cpu, args.smp.as_deref(), args.nested, text)?;
        let domain_file = args.domain.clone().map(|path| ("--domain", path));
        let disks = args.disk.iter().map(|disk| DiskConfig::parse(disk, topology.vcpus()));
        let disks: Vec<_> = disks.collect::<Result<_, _>>()?;
        let (cloud_init, cloud_files) = cloud_init::parse(&args.cloud, smbios.system.uuid, &disks)?;
        let smbios_files = smbios_files.into_iter().map(|path| ("--smbios", path));
        let (fw_cfg, fw_cfg_files) = fw_cfg::parse(&args.fw_cfg)?;
        let fw_cfg_files = fw_cfg_files.into_iter().map(|path| ("--fw-cfg", path));
        let read =
            smbios_files.chain(fw_cfg_files).chain(cpu_file).chain(domain_file).chain(cloud_files).collect();
        let cdrom = args.cdrom.as_deref().map(CdromConfig::parse).transpose()?;
        let names = [cloud_init.as_ref().map(|_| SEED_DISK), cdrom.as_ref().map(|_| CdromConfig::NAME)];
        disk::check_several(&disks, &args.disk, &names.into_iter().flatten().collect::<Vec<_>>())?;
        let disks = disks.into_iter().map(|disk| DeviceConfig::Disk(Box::new(disk)));
        let nets = net::devices(&args.net, smbios.system.uuid)?;
        if let Some(warning) = cloud_init::warning(&args.cloud, !nets.is_empty() || args.vsock.is_some()) {
            log::warn!("{warning}");
        }
        let nets = nets.into_iter().map(DeviceConfig::Net);
        let rng = (args.rng != "off").then(|| DeviceConfig::Rng(args.rng.clone().into()));
        let memory = memory::memory(&args.memory)?;
        if args.balloon && memory.hugepages {
            return Err(ConfigError::BalloonHugePages(args.memory.clone()));
        }
        let balloon = args.balloon.then_some(DeviceConfig::Balloon);
        let vsock = args.vsock.as_deref().map(VsockConfig::parse).transpose()?.map(DeviceConfig::Vsock);
        let display = DisplayConfig::parse(&args.display)?.map(DeviceConfig::Display);
        let ports = serial::ports(&args.serial, args.daemonize)?;
        let serial = (0..).zip(ports).map(|(number, config)| DeviceConfig::Serial(number, config));
        let panic = args.on_panic.map(|_| DeviceConfig::Panic);
        // It comes last, so that errors about ports name it.
        let debug_exit = args.debug_exit.map(DeviceConfig::DebugExit);
        let config = Self {
            cpu,
            topology,
            memory,
            start: StartConfig::parse(args)?,
            name: args.name.as_deref().map(name::name).transpose()?,
            smbios,
            fw_cfg,
            read,
            devices: [DeviceConfig::Rtc]
                .into_iter()
                .chain(disks)
                .chain(cdrom.map(DeviceConfig::Cdrom))
                .chain(cloud_init.map(DeviceConfig::CloudInit))
                .chain(nets)
                .chain(rng)
                .chain(balloon)
                .chain(vsock)
                .chain(display)
                .chain(serial)
                .chain(panic)
                .chain(debug_exit)
                .collect(),
            script: expect::script(&args.script)?,
            on_reboot: args.on_reboot,
            on_panic: args.on_panic,
            // A guest that is saved has nothing to shut down.
            grace: Duration::from_secs(
                args.snapshot.snapshot_on_exit.as_ref().map_or(args.grace, |_| 0).into(),
            ),
            qmp: args.qmp.as_deref().map(QmpConfig::parse).transpose()?,
            gdb: args.gdb.as_deref().map(gdb::gdb).transpose()?,
            paused: args.paused,
            pid_file: args.pidfile.clone(),
            snapshot_on_exit: args.snapshot.snapshot_on_exit.clone(),
        };
        config.check_saving()?;
        Ok(config)
    }

    /// The disks among the devices, by PCI address.
    pub fn disks(&self) -> impl Iterator<Item = &DiskConfig> {
        self.devices.iter().filter_map(|device| match device {
            DeviceConfig::Disk(disk) => Some(&**disk),
            _ => None,
        })
    }

    /// The files of disks, and of the CD-ROM drive's first medium, with all files that these name.
    #[must_use]
    pub fn images(&self) -> Vec<PathBuf> {
        let links = self.devices.iter().flat_map(|device| match device {
            DeviceConfig::Disk(disk) => disk.follow(),
            DeviceConfig::Cdrom(drive) => drive.follow(),
            _ => Vec::new(),
        });
        links.map(|link| link.path).collect()
    }

    /// Returns true if the machine has a screen.
    #[must_use]
    pub fn has_screen(&self) -> bool {
        self.devices.iter().any(|device| matches!(device, DeviceConfig::Display(_)))
    }

    /// The number of the serial port on stdin and stdout, if there is one; 0 is COM1.
    #[must_use]
    pub fn stdio(&self) -> Option<usize> {
        self.devices.iter().find_map(|device| match device {
            DeviceConfig::Serial(number, config) if config.place == Place::Stdio => Some(*number),
            _ => None,
        })
    }

    /// Returns whether a serial port connects to a server, and reconnects whenever that hangs up.
    #[must_use]
    pub fn connects(&self) -> bool {
        self.devices.iter().any(
            |device| matches!(device, DeviceConfig::Serial(_, config) if matches!(config.place, Place::Client { .. })),
        )
    }
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
