//! The machine to build: every option given a meaning, checked as far as it can be without the host.

use std::path::PathBuf;

use arch::cpu::{CpuError, spec::CpuSpec, topology::Topology};
use devices::virtio::block::Serial;
use serde::{Deserialize, Deserializer, de};

use crate::{
    cli::{MachineArgs, OnReboot},
    size::{Size, SizeError},
    smp::{Smp, SmpError},
};

/// A whole machine.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// What the guest's CPUs are.
    pub cpu: CpuSpec,
    /// How many of them there are, and how they are arranged.
    pub topology: Topology,
    /// Guest RAM.
    pub memory: MemoryConfig,
    /// The kernel image.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub initramfs: Option<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
    /// Disks, in the order of their PCI addresses.
    pub disks: Vec<DiskConfig>,
    /// Where COM1 goes.
    pub serial: SerialConfig,
    /// What the guest's reboot does.
    pub on_reboot: OnReboot,
    /// The debug-exit port.
    pub debug_exit: Option<u16>,
}

/// `--memory`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// How much.
    pub size: Size,
    /// Back it with 2 MiB pages from the host's pool.
    #[serde(default)]
    pub hugepages: bool,
    /// Allocate all of it before the guest starts.
    #[serde(default)]
    pub prefault: bool,
}

/// `--disk`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DiskConfig {
    /// The image or block device.
    pub path: PathBuf,
    /// Refuse the guest's writes.
    #[serde(default)]
    pub readonly: bool,
    /// What the guest reads as the disk's serial number.
    #[serde(default, deserialize_with = "serial_number")]
    pub serial: Serial,
    /// Go around the host's page cache.
    #[serde(default)]
    pub direct: bool,
}

/// `--serial`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SerialConfig {
    /// The terminal, or whatever stdin and stdout are.
    Stdio,
    /// Nowhere.
    Null,
    /// A file, made or emptied.
    File(PathBuf),
}

/// What is wrong with the command line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `--cpu`.
    #[error("--cpu")]
    Cpu(#[source] CpuError),
    /// `--smp`.
    #[error("--smp {0}")]
    Smp(String, #[source] SmpError),
    /// `--memory`, as a bare size.
    #[error("--memory {0}")]
    Size(String, #[source] SizeError),
    /// `--memory 0`.
    #[error("--memory {0}: a machine needs memory; give an amount such as 512M")]
    NoMemory(String),
    /// `--memory 1K`.
    #[error("--memory {0}: memory comes in pages; give a multiple of {unit}", unit = Size(*.1))]
    OddMemory(String, u64),
    /// An option with `key=value` parts.
    #[error("{option} {given}: {why}")]
    Keys {
        /// The option's name.
        option: &'static str,
        /// What was given.
        given: String,
        /// What is wrong.
        why: String,
    },
    /// `--serial`.
    #[error("--serial {0}: give stdio, null or file=PATH")]
    Serial(String),
}

impl VmConfig {
    /// Gives the user's words a meaning.
    ///
    /// # Errors
    ///
    /// A word that has none; the message repeats it and says what would do.
    pub fn new(args: &MachineArgs) -> Result<Self, ConfigError> {
        let cpu = args.cpu.parse().map_err(ConfigError::Cpu)?;
        Ok(Self {
            cpu,
            topology: smp(&args.smp)?,
            memory: memory(&args.memory)?,
            kernel: args.kernel.clone().unwrap_or_default(),
            initramfs: args.initramfs.clone(),
            cmdline: args.cmdline.clone(),
            disks: args.disk.iter().map(|disk| self::disk(disk)).collect::<Result<_, _>>()?,
            serial: serial(&args.serial)?,
            on_reboot: args.on_reboot,
            debug_exit: args.debug_exit,
        })
    }
}

fn smp(given: &str) -> Result<Topology, ConfigError> {
    let bare = !given.split(',').next().unwrap_or_default().contains('=');
    let smp: Smp =
        if bare { keys("--smp", given, &format!("cpus={given}"))? } else { keys("--smp", given, given)? };
    smp.topology().map_err(|error| ConfigError::Smp(given.to_owned(), error))
}

fn memory(given: &str) -> Result<MemoryConfig, ConfigError> {
    let config: MemoryConfig = if given.contains('=') {
        keys("--memory", given, given)?
    } else {
        let size = given.parse().map_err(|error| ConfigError::Size(given.to_owned(), error))?;
        MemoryConfig { size, hugepages: false, prefault: false }
    };
    let unit = if config.hugepages { crate::memory::HUGE_PAGE } else { crate::memory::PAGE };
    match config.size.0 {
        0 => Err(ConfigError::NoMemory(given.to_owned())),
        size if !size.is_multiple_of(unit) => Err(ConfigError::OddMemory(given.to_owned(), unit)),
        _ => Ok(config),
    }
}

fn disk(given: &str) -> Result<DiskConfig, ConfigError> {
    let first = given.split(',').next().unwrap_or_default();
    let bare = !first.contains('=');
    let config: DiskConfig =
        if bare { keys("--disk", given, &format!("path={given}"))? } else { keys("--disk", given, given)? };
    if config.path.as_os_str().is_empty() {
        let why = "the path is missing".to_owned();
        return Err(ConfigError::Keys { option: "--disk", given: given.to_owned(), why });
    }
    Ok(config)
}

fn serial_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Serial, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

fn serial(given: &str) -> Result<SerialConfig, ConfigError> {
    match given.split_once('=') {
        None if given == "stdio" => Ok(SerialConfig::Stdio),
        None if given == "null" => Ok(SerialConfig::Null),
        Some(("file", path)) if !path.is_empty() => Ok(SerialConfig::File(path.into())),
        _ => Err(ConfigError::Serial(given.to_owned())),
    }
}

fn keys<'a, T: Deserialize<'a>>(option: &'static str, given: &str, text: &'a str) -> Result<T, ConfigError> {
    use serde_aco::Error;
    serde_aco::from_arg(text).map_err(|error| {
        let why = match error {
            Error::Message(message) => message,
            Error::ExpectedInteger => "give a whole number".to_owned(),
            Error::Overflow => "the number is too large".to_owned(),
            Error::ExpectedBool => "give on or off".to_owned(),
            Error::ExpectedMapEq => "give key=value, with commas between".to_owned(),
            Error::Trailing(rest) => format!("'{rest}' is left over"),
            other => other.to_string(),
        };
        ConfigError::Keys { option, given: given.to_owned(), why }
    })
}

#[cfg(test)]
#[path = "config_test.rs"]
mod tests;
